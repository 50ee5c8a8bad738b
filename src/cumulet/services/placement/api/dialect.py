# SPDX-License-Identifier: Apache-2.0
"""The error body of the placement service, and the words in it.

`{"errors": [{"status", "title", "detail", "request_id", "code"}]}`, with `code` from API 1.23 on. The detail begins
with a sentence that the status alone decides.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from cumulet.kernel.errors import CumuletError, Invalid, NotAcceptable, NotFound
from cumulet.kernel.http import Microversions, Reply, Request
from cumulet.kernel.http.errors import title
from cumulet.kernel.http.microversions import Version, text
from cumulet.kernel.schema import Schema
from cumulet.services.placement.logic import providers


class PlacementMicroversions(Microversions):
    """Placement's own ways: `0.9` is a version, which is not there, and `Vary` has small letters."""

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        try:
            return super().negotiate(headers)
        except Invalid as error:
            if re.fullmatch(r"0\.\d+", self._asked(headers) or "") is None:
                raise
            raise NotAcceptable(
                error.message, code="InvalidGlobalAPIVersion", least=text(self.least), most=text(self.most)
            ) from error

    def headers(self, version: Version) -> dict[str, str]:
        return {**super().headers(version), "Vary": "openstack-api-version"}


class PartOfProvider(Schema):
    """The body of a request on a provider, which has to be there before anybody looks at the body."""


MICROVERSIONS = PlacementMicroversions("placement", (1, 0), (1, 39))

BODY_REFUSED = "JSON does not validate: "
UNDEFINED = "placement.undefined_code"
# The kernel's and the logic's names of cases, as clients of the API know them.
_CODES = {
    "InventoryInUse": "placement.inventory.inuse",
    "ConcurrentUpdate": "placement.concurrent_update",
    "DuplicateName": "placement.duplicate_name",
    "ProviderInUse": "placement.resource_provider.inuse",
    "CannotDeleteParent": "placement.resource_provider.cannot_delete_parent",
    "ProviderNotFoundInBody": "placement.resource_provider.not_found",
    "DuplicateParameter": "placement.query.duplicate_key",
    "BadValue": "placement.query.bad_value",
    "MissingValue": "placement.query.missing_value",
}
_OPENINGS = {
    400: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    409: "There was a conflict when trying to complete your request.",
    413: "The body of your request was too large for this server.",
    500: "The server has either erred or is incapable of performing the requested operation.",
}


class PlacementDialect:
    """Words the kernel's errors as Placement does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        error = self._first(error, request)
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if error.code == "UnsupportedMediaType" else error.status
        version = _version(request)
        headers = {**(MICROVERSIONS.headers(version) if version != (0, 0) else {}), **error.headers}
        if _wants_html(request):
            return Reply(int(status), _page(int(status), _message(error, request)), headers, "text/html; charset=UTF-8")
        body = {"status": int(status), "title": title(status), "detail": _detail(error, request, int(status))}
        if version >= (1, 23):
            body["code"] = _CODES.get(error.code, UNDEFINED)
        body["request_id"] = request.request_id
        if error.code == "InvalidGlobalAPIVersion":
            body |= {"max_version": error.fields["most"], "min_version": error.fields["least"]}
        return Reply(int(status), {"errors": [body]}, headers)

    @staticmethod
    def _first(error: CumuletError, request: Request) -> CumuletError:
        """What Placement says first where the body is wrong: what it judges before the body may be wrong too."""
        from_body = error.code in ("MalformedRequestBody", "MissingBody") or error.message.startswith(BODY_REFUSED)
        if not from_body:
            return error
        if request.candidates and not any(route.serves(_version(request)) for route in request.candidates):
            return NotFound("The resource could not be found.", code="NoSuchVersion")
        if request.route is None or request.route.body is not None:
            error = media_error(request) or error
        if error.code != "UnsupportedMediaType" and isinstance(getattr(request.route, "body", None), PartOfProvider):
            try:
                providers.get(request.cloud.db, request.params["uuid"])
            except NotFound as missing:
                return missing
        return error


def media_error(request: Request) -> CumuletError | None:
    """What is wrong with the media type of a body that has to be JSON; None if nothing."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if request.raw and not media_type:
        return Invalid("content-type header required when content-length > 0")
    if media_type != "application/json":
        return Invalid(
            f"The media type {media_type or 'None'} is not supported, use application/json",
            code="UnsupportedMediaType",
        )
    return None


def _detail(error: CumuletError, request: Request, status: int) -> str:
    message = _message(error, request)
    if status == 405:
        return f"The method {request.method} is not allowed for this resource. \n\n {message}"
    if status == 406:
        accepted = request.headers.get("accept", "")
        return (
            "The resource could not be generated that was acceptable to your browser "
            f"(content of type {accepted}. \n\n {message}"
        )
    if status == 415:
        given = request.headers.get("content-type", "None")
        return f"The request media type {given} is not supported by this server. \n\n {message}"
    return f"{_OPENINGS.get(status, title(status))}\n\n {message}  "


def _wants_html(request: Request) -> bool:
    """Whether the caller takes a page for people, and no JSON."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "json" not in accepted and "*/*" not in accepted


def _page(status: int, message: str) -> bytes:
    heading = f"{status} {title(status)}"
    opening = html.escape(_OPENINGS.get(status, ""))
    words = f"<h1>{heading}</h1>\n  {opening}<br /><br />\n{html.escape(message)}"
    page = f"<html>\n <head>\n  <title>{heading}</title>\n </head>\n <body>\n  {words}\n </body>\n</html>"
    return page.encode()


def _message(error: CumuletError, request: Request) -> str:
    match error.code:
        case "NoSuchPath" | "NoSuchVersion":
            return ""
        case "PolicyNotAuthorized":
            rule = str(error.fields["rule"])
            of_a_project = not (request.ctx.system_scope or request.ctx.domain_id)
            return f"Policy does not allow {rule} to be performed." if of_a_project else rule
        case "InvalidGlobalAPIVersion":
            return f"Invalid microversion: Unacceptable version header: {_asked(request)}"
        case "InvalidAPIVersionString":
            return f"Invalid microversion: invalid version string: {_asked(request)}"
        case "MalformedRequestBody" | "MissingBody":
            return f"Malformed JSON: {_json_error(request.raw)}"
    if error.status == 405:
        return "The method specified is not allowed for this resource."
    return error.message.replace("\n", " ")


def _json_error(raw: bytes) -> str:
    try:
        json.loads(raw)
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "nested too deeply"
    return "a number or a character that JSON does not have"


def _asked(request: Request) -> str:
    return request.headers.get("openstack-api-version", "").rpartition(" ")[2]


def _version(request: Request) -> tuple[int, int]:
    """The version asked for, also where the path was refused before it was read; (0, 0) for none that exists."""
    if request.version != (0, 0):
        return request.version
    try:
        return MICROVERSIONS.negotiate(request.headers)
    except CumuletError:
        return (0, 0)
