# SPDX-License-Identifier: Apache-2.0
"""Expressions that many rules are."""

ADMIN = "rule:admin_api"
READER = "rule:xena_system_admin_or_project_reader"
MEMBER = "rule:xena_system_admin_or_project_member"
