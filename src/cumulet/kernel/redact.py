# SPDX-License-Identifier: Apache-2.0
"""Takes secrets out of what is about to be shown: log records, error messages, recorded values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MASK = "***"

_SHORT = 100  # characters of a text of which it is remembered what is shown

# The ends of names whose values are secret; names are compared in lower case, without `-` and `_`.
_NAME = re.compile(
    r"passw(or)?d|pswd|passphrase|adminpass|newpass|secret|privatekey|apikey|accesskey|masterkey|fernetkey|hostkey"
    r"|encryptionkey|authorization|cookie|(token|tokens|tokenid)$"
)
# The ends of names that speak of secrets and hold none: how long they last, when they have to be changed.
_PLAIN = re.compile(r"(ttl|expiry|expiresat|uponfirstuse)$")

# What is secret wherever it stands. Quantifiers do not backtrack, so that no text, however long, takes long.
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL), MASK),
    (
        re.compile(r"(\bauthorization[\"']?\s*+[:=]\s*+[\"']?(?:bearer|basic|digest)\s++)[^\s\"',]++", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"gAAAA[A-Za-z0-9_=%-]{16,}+"), MASK),
    (re.compile(r"(cumulet1\.[\w-]{8,}+\.)[\w-]{8,}+"), rf"\1{MASK}"),
    (re.compile(r"(os-console-auth-tokens/)[^\s/?]++"), rf"\1{MASK}"),
    (re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{22,}+"), MASK),
    (re.compile(r"(://[^\s/:@]*+:)[^\s/@]++(?=@)"), rf"\1{MASK}"),
)
# A name and what may stand between it and its value: `name=`, `"name": b`, `--name `, `'--name', `.
_NAMED = re.compile(
    r"(?<![\w-])([\w-]++)(?:\\*+[\"']?\s*+[:=]\s*+(?:b(?=[\"']))?|(?<=[\w])(?:\s++|[\"'],\s*+))(?=[^\s{])"
)
_VALUE = re.compile(
    r"\\++\"[^\"]*+(?:\"|\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|'(?:[^'\\]|\\.)*+(?:'|\Z)|\[[^\]]*+(?:\]|\Z)|\([^)]*+(?:\)|\Z)|[^\s,;&\"'})\]]++",
    re.DOTALL,
)
# What each text with a secret in it holds at least one of once it is casefolded, for the many texts with none.
# Without IGNORECASE, which would keep the expression from skipping letters that none of these begins with.
_HINT = re.compile(r"pass|pswd|secret|token|cookie|authorization|key|gaaaa|cumulet1\.|\$2|@")
# By far the most frequent texts, in which nothing has to be looked for.
_ID = re.compile(r"(?:req-)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


@lru_cache(4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, header or option of this name holds a secret: `adminPass`, `X-Auth-Token`, `private_key`."""
    plain = name.lower().replace("-", "").replace("_", "")
    return _NAME.search(plain) is not None and _PLAIN.search(plain) is None


def redact_text(text: str) -> str:
    """`text` with `***` for tokens, private keys, password hashes, and values that stand after a secret's name."""
    if _ID.fullmatch(text) is not None:
        return text
    return _masked_before(text) if len(text) <= _SHORT else _masked(text)


def _masked(text: str) -> str:
    if _HINT.search(text.casefold()) is None:
        return text
    for pattern, replacement in _TEXTS:
        text = pattern.sub(replacement, text)
    return _redact_named(text)


# The same few are logged over and over: `GET /v3/auth/tokens 200`.
_masked_before = lru_cache(4096)(_masked)


def _redact_named(text: str) -> str:
    """Mask what stands after the name of a secret; of an option (`--name value`) also without a sign between."""
    kept, at = [], 0
    for found in _NAMED.finditer(text):
        name = found[1]
        is_option = name.startswith("--")
        if found.start() < at or not is_secret_name(name):
            continue
        if not is_option and not re.search("[:=]", text[found.end(1) : found.end()]):
            continue
        value = _VALUE.match(text, found.end())
        if value is not None and not (is_option and value[0].startswith("-")):
            kept += [text[at : found.end()], MASK]
            at = value.end()
    return "".join([*kept, text[at:]])


def redact(value: Any) -> Any:
    """A copy of a parsed JSON value with `***` for what stands under a secret's name or looks like a secret."""
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, (int, float)):
        return value
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
