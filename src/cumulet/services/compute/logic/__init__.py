# SPDX-License-Identifier: Apache-2.0
"""The verbs of the compute service: checks, quotas, changes of state."""
