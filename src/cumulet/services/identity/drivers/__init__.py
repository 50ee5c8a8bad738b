# SPDX-License-Identifier: Apache-2.0
"""What the identity service asks of others."""
