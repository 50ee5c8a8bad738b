# SPDX-License-Identifier: Apache-2.0
"""The hypervisor on libvirt: the same servers in the same folders, run by a daemon that the operator keeps."""
