# SPDX-License-Identifier: Apache-2.0
"""Getting a machine ready: Debian packages and the virtual environment. Needs nothing but Python's own library."""
