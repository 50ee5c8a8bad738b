# SPDX-License-Identifier: Apache-2.0
"""The S3 API on the data of the store."""
