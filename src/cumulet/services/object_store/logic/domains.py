# SPDX-License-Identifier: Apache-2.0
"""Accounts and containers as names of hosts: `container.account.store.example`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cumulet.kernel.errors import Invalid


class Domains(msgspec.Struct, frozen=True, kw_only=True):
    """`suffixes` of hosts begin with a dot. A name of a host has no capitals and may have no `_`: of `prefixes` of
    accounts the one that fits is restored, and `default_prefix`, where there is one, is put before an account without.
    """

    suffixes: Sequence[str]
    prefixes: Sequence[str] = ("AUTH",)
    default_prefix: str = ""


def suffixes(domains: Sequence[str]) -> tuple[str, ...]:
    """Domains with their dots."""
    return tuple(each if each.startswith(".") else f".{each}" for each in domains)


def names(domains: Domains, host: str) -> tuple[str, str] | None:
    """The account, and the container or "", that a host without its port stands for.

    None for a host of another domain or an account of another prefix; Invalid for more than the two names.
    """
    suffix = next((each for each in domains.suffixes if host.endswith(each)), None)
    if suffix is None:
        return None
    words = host.removesuffix(suffix).strip(".").split(".")
    if len(words) > 2:
        raise Invalid("Bad domain in host header")
    container, account = ["", *words][-2:]
    found = _restored(domains, account)
    return None if found is None else (found, container)


def _restored(domains: Domains, account: str) -> str | None:
    if not domains.prefixes:
        return account
    if "_" not in account:
        account = account.replace("-", "_", 1)
    said = account.partition("_")[0].lower()
    for prefix in domains.prefixes:
        if said == prefix.lower():
            return prefix + account[len(prefix) :]
    return f"{domains.default_prefix}_{account}" if domains.default_prefix else None
