# SPDX-License-Identifier: Apache-2.0
"""The verbs of the identity service: checks and changes, without HTTP."""
