# SPDX-License-Identifier: Apache-2.0
"""The verbs of the block storage service: checks and changes, without HTTP."""
