# SPDX-License-Identifier: Apache-2.0
"""One folder a service, the same rooms in each (docs/develop/rooms.md)."""
