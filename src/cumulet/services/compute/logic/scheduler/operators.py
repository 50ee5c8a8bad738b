# SPDX-License-Identifier: Apache-2.0
"""How flavors' extra specs ask for values: by the common operators, `<all-in> a b` and `<or> a <or> b`."""

from __future__ import annotations

from cumulet.kernel import spec_operators


def fits(value: str, wanted: str) -> bool:
    """Whether a value is what is wanted of it; without an operator, the very same. Nonsense fits nothing."""
    sign, *words = wanted.split() or [""]
    if sign == "<or>":
        return value in words[::2]
    if sign == "<all-in>":
        return bool(words) and all(word in value for word in words)
    if sign in spec_operators.OPERATORS:
        return spec_operators.fits(value, sign, words)
    return value == wanted
