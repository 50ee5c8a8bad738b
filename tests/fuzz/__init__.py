# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to whichever route, the answer is never a bug of ours."""
