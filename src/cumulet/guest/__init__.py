# SPDX-License-Identifier: Apache-2.0
"""The small cloud test image that Cumulet builds from Debian packages."""
