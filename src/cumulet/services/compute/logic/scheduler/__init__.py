# SPDX-License-Identifier: Apache-2.0
"""The choice of a host: filters say where a server may be, weighers where it is best off.

Each has the name that Nova gives it, by which settings switch it on (`scheduler.enabled_filters`). Packages of others
offer more by the entry points `cumulet.scheduler.filters` and `cumulet.scheduler.weighers`.
"""
