# SPDX-License-Identifier: Apache-2.0
"""All SQL of the placement service, one module a resource."""
