# SPDX-License-Identifier: Apache-2.0
"""The console proxy: what browsers open the consoles of servers with."""
