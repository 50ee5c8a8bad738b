# SPDX-License-Identifier: Apache-2.0
"""From an image's properties and a flavor's extra specs to a server's hardware (`types.Guest`), and what is refused."""
