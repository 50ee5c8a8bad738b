# SPDX-License-Identifier: Apache-2.0
"""All SQL of the block storage service, one module a resource."""
