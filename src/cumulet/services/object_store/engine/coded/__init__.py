# SPDX-License-Identifier: Apache-2.0
"""Objects of erasure-coded policies."""
