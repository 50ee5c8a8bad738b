# SPDX-License-Identifier: Apache-2.0
"""All SQL of the key manager: one module a kind of row."""
