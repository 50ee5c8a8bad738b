# SPDX-License-Identifier: Apache-2.0
"""A real OpenID Connect provider, of authlib, on loopback: a program that prints its port and serves until it is ended.

The code flow asks for a nonce and logs in `bob` at once; so does whoever opens the page of a device (RFC 8628). The
password grant, and a client for itself, get signed access tokens (RFC 9068); tokens can be asked about (RFC 7662). A
client's secret is `secret`.
"""

from __future__ import annotations

import sys
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import rfc6749
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8628 import (
    DEVICE_CODE_GRANT_TYPE,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    DeviceCredentialDict,
)
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, jsonify, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

PEOPLE = {
    "bob": {"email": "bob@example.org", "groups": ["staff", "wheel"], "name": "Bob Öst"},
    "eve": {"email": "eve@example.org", "groups": ["guests"], "name": "Eve"},
}
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}, private=True)
GRANTS = ("authorization_code", "password", "client_credentials", DEVICE_CODE_GRANT_TYPE)
CODES: dict[str, Code] = {}
DEVICES: dict[str, DeviceCredentialDict] = {}
ALLOWED: dict[str, Person] = {}  # by the code that a device has shown
TOKENS: dict[str, Given] = {}


class Person:
    def __init__(self, name: str) -> None:
        self.name = name

    def get_user_id(self) -> str:
        return self.name


class Given(rfc6749.TokenMixin):
    """An access token that was given out."""

    def __init__(self, person: str, client: str) -> None:
        self.person, self.client = person, client

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False


class Client(rfc6749.ClientMixin):
    def __init__(self, name: str) -> None:
        self.client_id = name

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.startswith("http://127.0.0.1:")

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == "secret"

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in GRANTS


class Code(rfc6749.AuthorizationCodeMixin):
    def __init__(self, code: str, asked: rfc6749.OAuth2Request) -> None:
        words = asked.payload.data
        self.code, self.person = code, asked.user.name
        self.redirect_uri, self.scope = asked.payload.redirect_uri, asked.payload.scope
        self.client_id, self.nonce = asked.payload.client_id, words.get("nonce")
        self.code_challenge = words.get("code_challenge")
        self.code_challenge_method = words.get("code_challenge_method")

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class ByCode(rfc6749.AuthorizationCodeGrant):
    def save_authorization_code(self, code: str, request: rfc6749.OAuth2Request) -> None:
        CODES[code] = Code(code, request)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = CODES.get(code)
        return found if found and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del CODES[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> Person:
        return Person(authorization_code.person)


class ByPassword(rfc6749.ResourceOwnerPasswordCredentialsGrant):
    def authenticate_user(self, username: str, password: str) -> Person | None:
        return Person(username) if username in PEOPLE and password == "password" else None


class ForItself(rfc6749.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)


class ByDevice(DeviceCodeGrant):
    def query_device_credential(self, device_code: str) -> DeviceCredentialDict | None:
        return DEVICES.get(device_code)

    def query_user_grant(self, user_code: str) -> tuple[Person, bool] | None:
        person = ALLOWED.get(user_code)
        return (person, True) if person is not None else None

    def should_slow_down(self, credential: DeviceCredentialDict) -> bool:
        return False


class Devices(DeviceAuthorizationEndpoint):
    INTERVAL = 0

    def get_verification_uri(self) -> str:
        return f"{issuer()}/device"

    def save_device_credential(self, client_id: str, scope: str, data: dict) -> None:
        known = {"client_id": client_id, "scope": scope, "expires_at": int(time.time()) + data["expires_in"]}
        DEVICES[data["device_code"]] = DeviceCredentialDict({**data, **known})


class IdTokens(OpenIDCode):
    def exists_nonce(self, nonce: str, request: rfc6749.OAuth2Request) -> bool:
        return False

    def resolve_client_private_key(self, client: Client) -> KeySet:
        return KeySet([KEY])

    def get_client_algorithm(self, client: Client) -> str:
        return "RS256"

    def get_client_claims(self, client: Client) -> dict:
        return {"iss": issuer()}

    def generate_user_info(self, user: Person, scope: str) -> UserInfo:
        return UserInfo(sub=user.name)


class AccessTokens(JWTBearerTokenGenerator):
    def get_jwks(self) -> KeySet:
        return KeySet([KEY])

    def get_audiences(self, client: Client, user: Person | None, scope: str) -> str:
        return client.client_id

    def get_extra_claims(self, client: Client, grant_type: str, user: Person | None, scope: str) -> dict:
        return {**(PEOPLE[user.name] if user else {}), "iss": issuer()}


class Introspection(IntrospectionEndpoint):
    def check_permission(self, token: Given, client: Client, request: rfc6749.OAuth2Request) -> bool:
        return True

    def query_token(self, token_string: str, token_type_hint: str) -> Given | None:
        return TOKENS.get(token_string)

    def introspect_token(self, token: Given) -> dict:
        known = {"active": True, "client_id": token.client, "sub": token.person, "exp": int(time.time()) + 60}
        return {**known, **PEOPLE.get(token.person, {})}


def keep(token: dict, asked: rfc6749.OAuth2Request) -> None:
    client = asked.client.client_id
    TOKENS[token["access_token"]] = Given(asked.user.name if asked.user else client, client)


def issuer() -> str:
    return request.host_url.rstrip("/")


def make() -> Flask:
    app = Flask(__name__)
    app.config["OAUTH2_ERROR_URIS"] = ()
    server = AuthorizationServer(app, query_client=Client, save_token=keep)
    server.register_grant(ByCode, [CodeChallenge(required=True), IdTokens(require_nonce=True)])
    for grant in (ByPassword, ForItself, ByDevice):
        server.register_grant(grant)
    server.register_endpoint(Devices)
    server.register_token_generator("default", AccessTokens(issuer="-"))
    server.register_endpoint(Introspection)

    @app.get("/.well-known/openid-configuration")
    def describe():
        base = issuer()
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        places |= {"introspection_endpoint": "introspect", "userinfo_endpoint": "userinfo"}
        places |= {"device_authorization_endpoint": "device_authorization"}
        return jsonify({"issuer": base, **{name: f"{base}/{path}" for name, path in places.items()}})

    @app.get("/authorize")
    def authorize():
        grant = server.get_consent_grant(end_user=Person("bob"))
        return server.create_authorization_response(grant_user=Person("bob"), grant=grant)

    @app.post("/device_authorization")
    def device_authorization():
        return server.create_endpoint_response("device_authorization")

    @app.get("/device")
    def device():
        ALLOWED[request.args["user_code"]] = Person("bob")
        return "Thank you."

    @app.post("/token")
    def token():
        return server.create_token_response()

    @app.post("/introspect")
    def introspect():
        return server.create_endpoint_response("introspection")

    @app.get("/keys")
    def keys():
        return jsonify(KeySet([KEY]).as_dict(private=False))

    @app.get("/userinfo")
    def userinfo():
        found = TOKENS.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        return jsonify({"sub": found.person, **PEOPLE[found.person]}) if found else ("", 401)

    return app


if __name__ == "__main__":
    door = make_server("127.0.0.1", 0, make(), threaded=True)
    print(door.server_port, flush=True)
    sys.exit(door.serve_forever())
