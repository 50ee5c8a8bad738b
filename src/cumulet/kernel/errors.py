# SPDX-License-Identifier: Apache-2.0
"""The dozen errors that a request may end in.

    CumuletError
      Invalid        400   the caller's words are wrong
      Unauthorized   401   no or no valid token
      Forbidden      403   known, but not allowed
      OverQuota      403   (413 in some dialects) a limit is reached
      NotFound       404   not there, or not visible to the caller
      NotAllowed     405   the path is there, the method is not
      NotAcceptable  406   a version or a media type that is not served
      Conflict       409   the resource's state forbids it now
      Gone           410   it was there and is not any more
      Precondition   412   an If-Match that does not match
      TooLarge       413   more bytes than are taken
      Unsupported    501   not there yet, and said so
      NotReady       503   a host or a part is not there for the moment

Logic raises them and never knows HTTP; each service's dialect renders them (`kernel.http.errors`). Every other
exception is a bug, logged with the request id and answered 500.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CumuletError(Exception):
    """An outcome that the caller is told of.

    `message` is what the caller reads; `code` names the case within the kind for dialects that print an exception
    name or a type (`"NetworkNotFound"`); `fields` are data for the dialect. None may hold a secret.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str = "", headers: dict[str, str] | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.headers = headers or {}
        self.fields = fields


class Invalid(CumuletError):
    status = 400


class Unauthorized(CumuletError):
    status = 401


class Forbidden(CumuletError):
    status = 403


class OverQuota(CumuletError):
    status = 403


class NotFound(CumuletError):
    status = 404


class NotAllowed(CumuletError):
    status = 405


class NotAcceptable(CumuletError):
    status = 406


class Conflict(CumuletError):
    status = 409


class Gone(CumuletError):
    status = 410


class Precondition(CumuletError):
    status = 412


class TooLarge(CumuletError):
    status = 413


class Unsupported(CumuletError):
    status = 501


class NotReady(CumuletError):
    status = 503
