# SPDX-License-Identifier: Apache-2.0
"""`/v3/auth/OS-FEDERATION/.../websso`: logging in by a browser, for dashboards.

The same path begins a log-in (`?origin=`, the dashboard), and is where the identity provider sends the browser back to:
with a code (OpenID Connect), or with an assertion in a form (SAML).
"""

from __future__ import annotations

import html
from urllib.parse import parse_qs, quote, unquote_plus, urlsplit, urlunsplit

from cumulet.kernel.errors import Invalid, Unauthorized
from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api.views import BASE
from cumulet.services.identity.logic import login, mapped_login, websso
from cumulet.services.identity.logic.proofs import Attempt, Proven
from cumulet.services.identity.logic.refusals import refused

COOKIE = "cumulet_websso"
_BY_PROTOCOL = "/auth/OS-FEDERATION/websso/{protocol_id}"
_BY_PROVIDER = "/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso"

_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{title}</title></head><body>{body}</body></html>
"""
_GUARDS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}


def by_protocol(request: Request) -> Reply:
    """Begin a log-in by whichever provider speaks the protocol; where several do, let the person choose."""
    protocol_id = request.params["protocol_id"]
    providers = websso.speakers(request.cloud, protocol_id)
    if not providers:
        raise refused()
    origin = _origin(request)
    if len(providers) == 1:
        return _begin(request, providers[0], protocol_id, origin)
    items = "".join(
        f'<li><a href="{html.escape(_path(idp_id, protocol_id))}?origin={quote(origin, safe="")}">'
        f"{html.escape(idp_id)}</a></li>"
        for idp_id in providers
    )
    return _page("Choose how to log in", f"<ul>{items}</ul>")


def by_provider(request: Request) -> Reply:
    """Begin a log-in, or take the browser back from it."""
    idp_id, protocol_id = request.params["idp_id"], request.params["protocol_id"]
    form = _form(request)
    if "SAMLResponse" in form:
        end = websso.end_saml(
            request.cloud, idp_id, protocol_id, _cookie(request), form["SAMLResponse"], form.get("RelayState", "")
        )
        return _hand_over(request, *end)
    if "state" in request.query:
        end = websso.end_openid(request.cloud, idp_id, protocol_id, _cookie(request), request.query)
        return _hand_over(request, *end)
    origin = _origin(request)
    mapped_login.door(request.cloud, idp_id, protocol_id)
    return _begin(request, idp_id, protocol_id, origin)


def _begin(request: Request, idp_id: str, protocol_id: str, origin: str) -> Reply:
    location, state = websso.begin(request.cloud, idp_id, protocol_id, origin)
    secure = request.cloud.settings.control_url.startswith("https://")
    # The answer to a SAML request is posted from the provider's own site, which a browser permits over TLS only.
    guard = "SameSite=None; Secure" if secure else "SameSite=Lax"
    cookie = f"{COOKIE}={state}; Path=/identity{BASE}/auth/OS-FEDERATION; Max-Age=600; HttpOnly; {guard}"
    return Reply(302, None, {"Location": location, "Set-Cookie": cookie, **_GUARDS})


def _hand_over(request: Request, proven: Proven, origin: str) -> Reply:
    """A page that posts the token to the dashboard, as Keystone's does."""
    text, _ = login.issue(request.cloud, proven, Attempt(identity={}, scope="unscoped"))
    where = html.escape(origin, quote=True)
    body = (
        f'<form id="sso" name="sso" action="{where}" method="post">Please wait...<br>'
        f'<input type="hidden" name="token" id="token" value="{html.escape(text)}">'
        '<noscript><input type="submit" name="submit_no_javascript" id="submit_no_javascript"'
        ' value="If your JavaScript is disabled, please click to continue"></noscript></form>'
        "<script>document.forms['sso'].submit()</script>"
    )
    reply = _page("Logged in", body)
    reply.headers["Set-Cookie"] = f"{COOKIE}=; Path=/identity{BASE}/auth/OS-FEDERATION; Max-Age=0; HttpOnly"
    return reply


def _origin(request: Request) -> str:
    """The dashboard that the browser comes from; Unauthorized for one that is not trusted."""
    said = request.query.get("origin")
    if not said:
        raise Invalid("Request must have an origin query parameter")
    origin = unquote_plus(said)
    trusted = {_folded(one) for one in request.cloud.settings.identity.trusted_dashboards}
    if origin not in trusted:
        raise refused()
    return origin


def _folded(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.lower()))


def _path(idp_id: str, protocol_id: str) -> str:
    where = _BY_PROVIDER.format(idp_id=quote(idp_id, safe=""), protocol_id=quote(protocol_id, safe=""))
    return f"/identity{BASE}{where}"


def _form(request: Request) -> dict[str, str]:
    if request.method != "POST" or "form-urlencoded" not in request.headers.get("content-type", ""):
        return {}
    try:
        return {name: values[-1] for name, values in parse_qs(request.raw.decode("ascii")).items()}
    except ValueError:
        raise Invalid("The form cannot be read.") from None


def _cookie(request: Request) -> str:
    for pair in request.headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    raise Unauthorized("The log-in was not begun by this browser.")


def _page(title: str, body: str) -> Reply:
    text = _PAGE.format(title=title, body=body).encode()
    return Reply(200, text, dict(_GUARDS), media_type="text/html; charset=utf-8")


ROUTES = tuple(
    Route(method, path, handler, PUBLIC, slow=True, raw=method == "POST")
    for path, handler in ((_BY_PROTOCOL, by_protocol), (_BY_PROVIDER, by_provider))
    for method in ("GET", "POST")
)
