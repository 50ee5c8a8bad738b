# SPDX-License-Identifier: Apache-2.0
"""Temporary URLs and signed forms, as requests."""

from __future__ import annotations

import base64
import hmac
import time

import httpx
import pytest

from cumulet.services.object_store.logic import temp_urls
from support.object_store import ACCOUNT
from unit.object_store.feature_stores import store

END = int(time.time()) + 3600
ROOT = f"/v1/{ACCOUNT}"


@pytest.fixture(scope="module")
def urls():
    with store() as found:
        client = found.client()
        client.post("", headers={"x-account-meta-temp-url-key": "all", "x-account-meta-temp-url-key-2": "all2"})
        client.put("/c", headers={"x-container-meta-temp-url-key": "its", "x-container-meta-temp-url-key-2": "its2"})
        client.put("/d")
        headers = {"x-object-meta-secret": "1", "x-object-meta-public-seen": "2"}
        client.put("/c/o", content=b"body", headers=headers)
        client.put("/c/shown", content=b"body", headers={"content-disposition": "inline; filename=kept"})
        client.put("/d/o", content=b"other")
        yield found


def query(method, path, key="its", *, prefix=None, addresses="", digest="sha256", end=END, **more):
    signed = f"prefix:{ROOT}{path.rpartition('/')[0]}/{prefix}" if prefix is not None else f"{ROOT}{path}"
    found = {"temp_url_sig": temp_urls.sign(method, signed, end, key, digest, addresses), "temp_url_expires": end}
    if prefix is not None:
        found["temp_url_prefix"] = prefix
    if addresses:
        found["temp_url_ip_range"] = addresses
    return found | more


@pytest.mark.parametrize("key", ["all", "all2", "its", "its2"])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_all_keys_and_digests(urls, key, digest):
    answer = urls.client("").get("/c/o", params=query("GET", "/c/o", key, digest=digest))
    assert (answer.status_code, answer.text) == (200, "body")


def test_a_signature_in_base64_and_a_time_in_words(urls):
    params = query("GET", "/c/o")
    sum_ = base64.urlsafe_b64encode(bytes.fromhex(params["temp_url_sig"])).decode()
    params["temp_url_sig"] = f"sha256:{sum_}"
    params["temp_url_expires"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(END))
    assert urls.client("").get("/c/o", params=params).text == "body"


def test_headers_of_the_answer(urls):
    answer = urls.client("").get("/c/o", params=query("GET", "/c/o"))
    assert "x-object-meta-secret" not in answer.headers
    assert answer.headers["x-object-meta-public-seen"] == "2"
    assert answer.headers["content-disposition"] == "attachment; filename=\"o\"; filename*=UTF-8''o"
    assert answer.headers["expires"] == time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(END))


@pytest.mark.parametrize(
    ("path", "more", "wanted"),
    [
        ("/c/shown", {}, "inline; filename=kept"),
        ("/c/o", {"inline": ""}, "inline"),
        ("/c/o", {"inline": "", "filename": "ü x"}, "inline; filename=\"%C3%BC x\"; filename*=UTF-8''%C3%BC%20x"),
        ("/c/o", {"filename": 'a"b\n'}, "attachment; filename=\"a%22b%0A\"; filename*=UTF-8''a%22b%0A"),
    ],
    ids=["kept", "inline", "inline-named", "named"],
)
def test_what_a_browser_does_with_it(urls, path, more, wanted):
    answer = urls.client("").get(path, params=query("GET", path, **more))
    assert answer.headers["content-disposition"] == wanted


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "HEAD"])
def test_who_may_do_something_may_look(urls, method):
    assert urls.client("").head("/c/o", params=query(method, "/c/o")).status_code == 200


def test_a_deletion_may_not_look(urls):
    assert urls.client("").head("/c/o", params=query("DELETE", "/c/o")).status_code == 401


def test_every_method(urls):
    nobody = urls.client("")
    assert nobody.put("/c/new", params=query("PUT", "/c/new"), content=b"mine").status_code == 201
    headers = {"x-object-meta-a": "1", "x-open-expired": "true"}
    assert nobody.post("/c/new", params=query("POST", "/c/new"), headers=headers).status_code == 202
    assert urls.client().get("/c/new").headers["x-object-meta-a"] == "1"
    assert nobody.delete("/c/new", params=query("DELETE", "/c/new")).status_code == 204
    assert urls.client().get("/c/new").status_code == 404


def test_beginnings_of_names(urls):
    nobody = urls.client("")
    for name in ("pre/one", "pre/two"):
        params = query("PUT", "/c/x", prefix="pre/")
        assert nobody.put(f"/c/{name}", params=params, content=b"x").status_code == 201
    assert nobody.put("/c/other", params=query("PUT", "/c/x", prefix="pre/"), content=b"x").status_code == 401


def test_addresses(urls):
    for addresses, status in (("127.0.0.0/8", 200), ("127.0.0.1", 200), ("10.0.0.0/8", 401), ("nonsense", 401)):
        params = query("GET", "/c/o", addresses=addresses)
        assert urls.client("").get("/c/o", params=params).status_code == status, addresses


def test_other_parameters_do_nothing(urls):
    params = query("PUT", "/c/manifest")
    assert urls.client("").put("/c/manifest", params={"multipart-manifest": "put", **params}, content=b"[1]").is_success
    assert urls.client().get("/c/manifest").text == "[1]"


@pytest.mark.parametrize("header", ["x-object-manifest", "x-symlink-target", "x-copy-from"])
def test_nothing_else_can_be_pointed_at(urls, header):
    answer = urls.client("").put("/c/p", params=query("PUT", "/c/p"), headers={header: "d/o"}, content=b"")
    assert (answer.status_code, answer.text) == (400, f"The header '{header.title()}' is not allowed in this tempurl")


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/c/o", query("GET", "/c/o", end=1)),
        ("GET", "/c/o", query("GET", "/c/o", "wrong")),
        ("GET", "/d/o", query("GET", "/d/o", "its")),
        ("PUT", "/c/o", query("GET", "/c/o")),
        ("GET", "/c/shown", query("GET", "/c/o")),
        ("GET", "/c", query("GET", "/c")),
        ("GET", "/c", query("GET", "/c/", prefix="")),
        ("GET", "", query("GET", "")),
        ("COPY", "/c/o", query("COPY", "/c/o")),
        ("GET", "/c/o", {"temp_url_sig": "x", "temp_url_expires": END}),
        ("GET", "/c/o", {"temp_url_sig": "a" * 64}),
        ("GET", "/c/o", {"temp_url_expires": END}),
        ("GET", "/c/o", {"temp_url_sig": "a" * 64, "temp_url_expires": "soon"}),
        ("GET", "/%ff/o", query("GET", "/c/o")),
    ],
    ids=[
        "ended", "another-key", "another-container", "another-method", "another-object", "a-container",
        "a-container-by-prefix", "an-account", "copy", "no-signature", "no-end", "no-signature-at-all", "no-time",
        "not-utf8",
    ],
)  # fmt: skip
def test_what_was_not_signed(urls, method, path, params):
    answer = urls.client("").request(method, path, params=params, headers={"destination": "c/x"})
    assert (answer.status_code, answer.text) == (401, "401 Unauthorized: Temp URL invalid\n")


def test_a_token_does_not_help_a_wrong_url(urls):
    assert urls.client().get("/c/o", params=query("GET", "/c/o", "wrong")).status_code == 401


def test_what_info_tells(urls):
    told = httpx.get(f"{urls.url}/info").json()
    assert told["tempurl"]["methods"] == ["GET", "HEAD", "PUT", "POST", "DELETE"]
    assert told["tempurl"]["allowed_digests"] == told["formpost"]["allowed_digests"] == ["sha1", "sha256", "sha512"]
    assert told["tempurl"]["outgoing_remove_headers"] == ["x-object-meta-*"]


def fields(path="/c/pre", key="its", **more):
    found = {"redirect": "", "max_file_size": "100", "max_file_count": "2", "expires": str(END)} | more
    signed = "\n".join((ROOT + path, *(found[each] for each in ("redirect", "max_file_size", "max_file_count"))))
    signed += f"\n{found['expires']}"
    return {**found, "signature": hmac.new(key.encode(), signed.encode(), "sha256").hexdigest()}


def files(*bodies, kind="text/x"):
    return [(f"file{number}", (f"{number}.txt", body, kind)) for number, body in enumerate(bodies)]


def post(urls, said, sent, path="/c/pre", **more):
    return urls.client("").post(path, data=said, files=sent, **more)


@pytest.mark.parametrize("key", ["its", "its2", "all", "all2"])
def test_files_of_a_form(urls, key):
    bodies = (b"", b"\r\n--\r\n--not-the-end\r\n")
    answer = post(urls, fields(key=key), files(*bodies))
    assert (answer.status_code, answer.text) == (201, "201 Created")
    for number, body in enumerate(bodies):
        found = urls.client().get(f"/c/pre{number}.txt")
        assert (found.content, found.headers["content-type"]) == (body, "text/x")


def test_fields_of_all_files(urls):
    said = fields("/c", **{"content-type": "text/all", "content-encoding": "gzip", "x_delete_after": "600"})
    assert post(urls, said, files(b"x"), "/c").status_code == 201
    found = urls.client().head("/c/0.txt").headers
    assert (found["content-type"], found["content-encoding"]) == ("text/all", "gzip")
    assert abs(int(found["x-delete-at"]) - time.time() - 600) < 60


def test_a_browser_is_sent_on(urls):
    said = fields(redirect="https://page.example/done?a=1")
    answer = post(urls, said, files(b"x"))
    assert answer.status_code == 303
    assert answer.headers["location"] == "https://page.example/done?a=1&status=201&message="
    answer = post(urls, fields(redirect="https://page.example"), files(b"x", b"x", b"x"))
    assert answer.headers["location"] == "https://page.example?status=400&message=max%20file%20count%20exceeded"


@pytest.mark.parametrize(
    ("said", "sent", "status", "words"),
    [
        (fields(), files(b"x" * 101), 400, "FormPost: max_file_size exceeded"),
        (fields(), files(b"x", b"y", b"z"), 400, "400 Bad Request\r\nFormPost: Max File Count Exceeded"),
        (fields(), [("text", (None, "x"))], 400, "400 Bad Request\r\nFormPost: No Files To Process"),
        (fields(expires="1"), files(b"x"), 401, "FormPost: Form Expired"),
        (fields(key="wrong"), files(b"x"), 401, "FormPost: Invalid Signature"),
        ({**fields(), "max_file_size": "1000"}, files(b"x"), 401, "FormPost: Invalid Signature"),
        ({**fields(), "signature": ""}, files(b"x"), 401, "FormPost: Invalid Signature"),
        ({**fields(), "max_file_count": "x"}, files(b"x"), 400, "FormPost: max_file_count not an integer"),
        ({**fields(), "max_file_size": "x"}, files(b"x"), 400, "FormPost: max_file_size not an integer"),
        ({**fields(), "expires": "x"}, files(b"x"), 400, "FormPost: expired not an integer"),
        ({**fields(), "content-type": "a/b\r\nset-cookie: x"}, files(b"x"), 400, "FormPost: content-type is no header"),
        (
            fields(x_delete_at="x"), files(b"x"), 400,
            "FormPost: x_delete_at not an integer: Unix timestamp required.",
        ),
    ],
    ids=[
        "size", "count", "none", "expired", "key", "not-as-signed", "no-signature", "count-no-number",
        "size-no-number", "expires-no-number", "two-headers", "delete-at",
    ],
)  # fmt: skip
def test_forms_that_are_refused(urls, said, sent, status, words):
    urls.client().delete("/c/pre0.txt")
    answer = post(urls, said, sent)
    assert (answer.status_code, answer.text) == (status, words)
    if "Count" not in words:
        assert urls.client().head("/c/pre0.txt").status_code == 404


KIND = {"content-type": "multipart/form-data; boundary=b"}
FIELDS = "".join(
    f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields().items()
)
FILE = '--b\r\nContent-Disposition: form-data; name="f"; filename="cut"\r\n\r\nbody'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "invalid starting boundary"),
        ("--c\r\n", "invalid starting boundary"),
        (FIELDS + FILE, "the form ends too early"),
        (FIELDS + FILE + "\r\n--", "the form ends too early"),
        (FIELDS + FILE[:30], "the form ends too early"),
        ("--b\r\n" + "x" * (1 << 17), "headers of a part are too long"),
    ],
    ids=["nothing", "another-boundary", "no-end", "half-an-end", "half-a-header", "long-headers"],
)
def test_what_is_no_form(urls, body, words):
    answer = urls.client("").post("/c/pre", content=body, headers=KIND)
    assert (answer.status_code, answer.text) == (400, f"FormPost: {words}")
    assert urls.client().head("/c/precut").status_code == 404


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_form_comes_in_any_pieces(urls, size):
    body = f"\r\n{FIELDS}{FILE}\r\n--b--\r\n".encode()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    answer = urls.client("").post("/c/pre", content=iter(pieces), headers=KIND)
    assert (answer.status_code, urls.client().get("/c/precut").text) == (201, "body")


def test_forms_for_what_is_no_container(urls):
    assert post(urls, fields(""), files(b"x"), "").status_code == 401
    assert post(urls, fields("/nowhere/", "all"), files(b"x"), "/nowhere/").status_code == 404
