# SPDX-License-Identifier: Apache-2.0
"""Swift's API over HTTP."""
