# SPDX-License-Identifier: Apache-2.0
"""The network service: networks, subnets, ports, routers, floating IPs and security groups."""
