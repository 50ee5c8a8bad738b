# SPDX-License-Identifier: Apache-2.0
"""The hypervisor driver that runs each server as a QEMU process."""
