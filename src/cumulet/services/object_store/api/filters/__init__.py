# SPDX-License-Identifier: Apache-2.0
"""What a request passes on its way to the store: each may answer it, change it, or change the answer."""
