# SPDX-License-Identifier: Apache-2.0
"""What clients of the object store are told while devices and hosts fail, against what the store promises."""
