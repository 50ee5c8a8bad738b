# SPDX-License-Identifier: Apache-2.0
"""The verbs of the placement service: checks and changes, without HTTP."""
