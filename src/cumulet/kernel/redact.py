# SPDX-License-Identifier: Apache-2.0
"""Takes secrets out of what is about to be shown: log records, error messages, recorded values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

# The ends of names whose values are secret; names are compared in lower case, without `-` and `_`.
_NAME = re.compile(
    r"passw(or)?d|pswd|passphrase|adminpass|newpass|secret|privatekey|apikey|accesskey|masterkey|fernetkey|hostkey"
    r"|encryptionkey|authorization|cookie|(token|tokens|tokenid)$"
)
_WORDS = (
    r"[\w-]*(?:passw(?:or)?d|pswd|passphrase|admin_?pass|new_?pass|secret|(?:private|api|access|master|encryption)[_-]?key"
    r"|cookie|token(?:[_-]?id)?\b)[\w-]*"
)
_VALUE = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&\"'})\]]+)"

_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MASK,
    ),
    (
        re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|digest)\s+)?)[^\s\"',]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(rf"({_WORDS}(?:[\"']?\s*[:=]\s*b?))(?!\s){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(--{_WORDS}(?:\s+|[\"'],\s*))(?!-){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\bgAAAA[A-Za-z0-9_=%-]{16,}"), MASK),
    (re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{22,}"), MASK),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE), rf"\1{MASK}"),
)
# What each text with a secret in it holds at least one of, for the many texts with none.
_HINT = re.compile(
    r"pass|pswd|secret|token|cookie|authorization|PRIVATE KEY|gAAAA|\$2|://[^\s/]*@|(private|api|access|master|encryption)[_-]?key",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a field, header or option of this name holds a secret: `adminPass`, `X-Auth-Token`, `private_key`."""
    return _NAME.search(name.lower().replace("-", "").replace("_", "")) is not None


def redact_text(text: str) -> str:
    """`text` with `***` for tokens, private keys, password hashes, and values that stand after a secret's name."""
    if _HINT.search(text) is None:
        return text
    for pattern, replacement in _TEXTS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any) -> Any:
    """A copy of a parsed JSON value with `***` for what stands under a secret's name or looks like a secret."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {
            name: MASK if isinstance(name, str) and is_secret_name(name) and _may_hold(part) else redact(part)
            for name, part in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(part) for part in value]
    if isinstance(value, (bytes, bytearray)):
        return redact_text(bytes(value).decode(errors="replace"))
    return value


def _may_hold(value: Any) -> bool:
    """A secret is a text, a number or a collection: under `has_password` or `token`, true and null tell nothing."""
    return value is not None and not isinstance(value, bool)
