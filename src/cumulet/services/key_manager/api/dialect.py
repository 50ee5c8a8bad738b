# SPDX-License-Identifier: Apache-2.0
"""The error body of the key manager, `{"code": 404, "title": "Not Found", "description": "..."}`, and its words.

Some refusals name the operation, which is told by the rule of the route.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Microversions, Reply, Request
from cumulet.kernel.http.errors import title
from cumulet.kernel.schema import Phrase, Refusal
from cumulet.services.key_manager.logic.refusals import ISSUE, mismatch

MICROVERSIONS = Microversions("key-manager", (1, 0), (1, 2))
UNSUPPORTED_MEDIA = "UnsupportedMediaType"
JSON = "application/json"

OPERATIONS = {
    "secrets:post": "Secret creation",
    "secrets:get": "Secret(s) retrieval",
    "secret:get": "Secret retrieval",
    "secret:decrypt": "Secret payload retrieval",
    "secret:put": "Secret update",
    "secret:delete": "Secret deletion",
    "secret_meta:get": "Secret metadata retrieval",
    "secret_meta:post": "Secret metadatum creation",
    "secret_meta:put": "Secret metadata creation",
    "secret_meta:delete": "Secret metadatum removal",
    "secret_acls:get": "SecretACL(s) retrieval",
    "secret_acls:put_patch": "SecretACL(s) Update",
    "secret_acls:delete": "SecretACL(s) deletion",
    "secret_consumers:get": "SecretConsumers(s) retrieval",
    "secret_consumers:post": "SecretConsumer creation",
    "secret_consumers:delete": "SecretConsumer deletion",
    "containers:post": "Container creation",
    "containers:get": "Containers(s) retrieval",
    "container:get": "Container retrieval",
    "container:delete": "Container deletion",
    "container_secret:post": "Container Secret creation",
    "container_secret:delete": "Container Secret deletion",
    "container_acls:get": "ContainerACL(s) retrieval",
    "container_acls:put_patch": "ContainerACL(s) Update",
    "container_acls:delete": "ContainerACL(s) deletion",
    "container_consumers:get": "ContainerConsumers(s) retrieval",
    "container_consumers:post": "ContainerConsumer creation",
    "container_consumers:delete": "ContainerConsumer deletion",
    "orders:get": "Order(s) retrieval",
    "orders:post": "Order creation",
    "orders:put": "Order update",
    "order:get": "Order retrieval",
    "order:delete": "Order deletion",
    "quotas:get": "Quotas",
    "project_quotas:get": "Project Quotas",
    "project_quotas:put": "Project Quotas",
    "project_quotas:delete": "Project Quotas",
    "secretstores:get": "List available secret stores",
    "secretstores:get_global_default": "Retrieve global default secret store",
    "secretstores:get_preferred": "Retrieve project preferred store",
    "secretstore:get": "Secret store retrieval",
    "secretstore_preferred:post": "Setting preferred secret store",
    "secretstore_preferred:delete": "Removing preferred secret store",
    "transport_keys:get": "Transport Key(s) retrieval",
    "transport_keys:post": "Transport Key Creation",
    "transport_key:get": "Transport Key retrieval",
    "transport_key:delete": "Transport Key deletion",
}
# Operations that share a rule with others.
_OF_PATHS = {
    ("GET", "/secrets/{secret_id}/metadata/{key}"): "Secret metadatum retrieval",
    ("PUT", "/secrets/{secret_id}/metadata/{key}"): "Secret metadatum update",
    ("GET", "/secrets/{secret_id}/consumers/{consumer_id}"): "SecretConsumer retrieval",
    ("GET", "/containers/{container_id}/consumers/{consumer_id}"): "ContainerConsumer retrieval",
}
_SILENT = frozenset({"NoSuchPath", "NoSuchVersion"})


class KeyManagerDialect:
    """Words the kernel's errors as Barbican does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        status, said = int(error.status), _description(error, request)
        if _is_of_another_type(error, request):
            status, said = 415, f"Unexpected content type. Expected content types are: ['{JSON}']"
        elif error.code == UNSUPPORTED_MEDIA:
            status = int(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        body = {"code": status, "title": title(status), "description": said}
        return Reply(status, body, error.headers)


def phrase(schema: str, *, required_is_named: bool = False) -> Phrase:
    """How a body that does not fit `schema` is refused; what is missing is named as the property or is not."""

    def say(refusal: Refusal) -> str:
        name = str(refusal.path[0]) if refusal.path else None
        if name is None and required_is_named and refusal.detail.endswith("is a required property"):
            name = refusal.detail.split("'")[1]
        return mismatch(schema, refusal.detail, name).message

    return Phrase(say)


def is_json(request: Request) -> bool:
    return media_type(request.headers.get("content-type", "")) == JSON


def media_type(said: str) -> str:
    """A media type without its parameters."""
    return said.partition(";")[0].strip().lower()


def _is_of_another_type(error: CumuletError, request: Request) -> bool:
    """Whether a body was refused that should have been JSON and does not say that it is."""
    takes = any(route.body is not None for route in request.candidates)
    return takes and error.status == 400 and error.code != ISSUE and not is_json(request)


def _description(error: CumuletError, request: Request) -> str:
    words: dict[str, Callable[[], str]] = {
        "PolicyNotAuthorized": lambda: (
            f"{_operation(request, str(error.fields['rule']))} attempt not allowed"
            " - please review your user/project privileges"
        ),
        "MalformedRequestBody": lambda: "Malformed JSON",
        "MissingBody": lambda: (
            f"{_operation(request, _rule(request))} issue seen - No data supplied to process.."
            if _rule(request) == "project_quotas:put"
            else "Malformed JSON"
        ),
        ISSUE: lambda: f"{_operation(request, _rule(request))} issue seen - {error.message}.",
    }
    if (error.status == 405 and not error.code) or error.code in _SILENT:
        return error.message if error.fields.get("said") else ""
    if error.status == 500:
        return f"{_operation(request, _rule(request))} failure seen - please contact site administrator."
    return words.get(error.code, lambda: error.message)()


def _operation(request: Request, rule: str) -> str:
    route = request.route
    named = _OF_PATHS.get((route.method, route.path)) if route is not None else None
    return named or OPERATIONS.get(rule, "System")


def _rule(request: Request) -> str:
    return request.route.rule if request.route is not None else ""
