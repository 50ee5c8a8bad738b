# SPDX-License-Identifier: Apache-2.0
"""A load driver for any OpenStack cloud on this machine: the same requests, whoever answers them."""
