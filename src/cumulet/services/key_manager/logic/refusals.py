# SPDX-License-Identifier: Apache-2.0
"""The refusals of the key manager in Barbican's words.

Of an error with code ISSUE the API tells the operation as well: "Secret creation issue seen - ...".
"""

from __future__ import annotations

from cumulet.kernel.errors import Invalid, NotFound

ISSUE = "Issue"


def issue(reason: str) -> Invalid:
    """Something that went wrong while the request was carried out."""
    return Invalid(reason, code=ISSUE)


def mismatch(schema: str, reason: str, name: str | None) -> Invalid:
    """A body that does not fit: `name` is the property that is at fault."""
    return Invalid(f"Provided object does not match schema '{schema}': {reason}. Invalid property: '{name}'")


def unsupported_value() -> Invalid:
    return Invalid("Provided field value is not supported")


def no_secret() -> NotFound:
    return NotFound("Secret not found.")


def no_container() -> NotFound:
    return NotFound("Secrets container not found.")


def no_consumer() -> NotFound:
    return NotFound("Consumer not found.")


def bad_id(noun: str) -> NotFound:
    return NotFound(f"Not Found. Provided {noun} id is invalid.")


def no_payload() -> NotFound:
    return NotFound("Not Found. Sorry but your secret has no payload.")
