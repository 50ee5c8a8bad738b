# SPDX-License-Identifier: Apache-2.0
"""Facts of OpenStack's APIs as data (`data/`), and what our routes and schemas are worth beside them."""
