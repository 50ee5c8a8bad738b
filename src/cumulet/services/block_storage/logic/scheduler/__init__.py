# SPDX-License-Identifier: Apache-2.0
"""The choice of a back end: filters say where a volume may be, weighers where it is best off.

Each has the name that Cinder gives it, by which settings switch it on (`block_storage.scheduler_default_filters`).
Packages of others offer more by the entry points `cumulet.volume_scheduler.filters` and
`cumulet.volume_scheduler.weighers`.
"""
