# SPDX-License-Identifier: Apache-2.0
"""One class a database engine; differences between engines live nowhere else."""
