# SPDX-License-Identifier: Apache-2.0
"""Marks of wrong passwords, by which an audit tells a program with an old password from somebody who guesses.

A mark is the beginning of an HMAC under a key that this cloud made for nothing else: the same password has the same
mark in all processes, and nobody without the key can look for a password that has it.
"""

from __future__ import annotations

import base64
import hmac
import secrets

from cumulet.kernel.cloud import Cloud

KEY = "identity.wrong_passwords"
_KEY_LENGTH = 32  # bytes


def is_wanted(cloud: Cloud) -> bool:
    """Whether the operator wants marks in events."""
    return "event" in cloud.settings.security_compliance.report_invalid_password_hash


def mark(cloud: Cloud, password: str) -> str:
    """The mark, in the characters of base64; as many as the settings say, all 43 of them by default."""
    key = cloud.vault.get(KEY) or cloud.vault.get_or_make(KEY, lambda: secrets.token_bytes(_KEY_LENGTH))
    digest = hmac.digest(key, password.encode("utf-8", "surrogatepass"), "sha256")
    shown = base64.b64encode(digest).decode("ascii").rstrip("=")
    return shown[: cloud.settings.security_compliance.invalid_password_hash_max_chars]
