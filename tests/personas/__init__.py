# SPDX-License-Identifier: Apache-2.0
"""Who may call what: every route by every persona, judged by oslo.policy; and every default rule against upstream's."""
