# SPDX-License-Identifier: Apache-2.0
"""Containers as web sites, hosts that stand for them, and ETags between quotes."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.api.filters import cname_lookup
from cumulet.services.object_store.logic import domains, temp_urls, web_pages
from support.object_store import ACCOUNT
from unit.object_store.feature_stores import store

PUBLIC = {"x-container-read": ".r:*,.rlistings"}


@pytest.fixture(scope="module")
def sites():
    with store() as found:
        client = found.client()
        meta = "x-container-meta-web-"
        client.put("/plain", headers=PUBLIC)
        client.put("/index", headers=PUBLIC | {f"{meta}index": "index.html", f"{meta}error": "error.html"})
        client.put("/lists", headers=PUBLIC | {f"{meta}listings": "true"})
        client.put("/css", headers=PUBLIC | {f"{meta}listings": "t", f"{meta}listings-css": "s/l.css",
                                             f"{meta}listings-label": "My <site>", f"{meta}index": "none"})  # fmt: skip
        client.put("/marked", headers=PUBLIC | {f"{meta}listings": "yes", f"{meta}directory-type": "text/folder"})
        client.put("/private", headers={f"{meta}error": "error.html", f"{meta}index": "index.html"})
        for path, body in (("index.html", "home"), ("sub/index.html", "below"), ("404error.html", "lost"), ("o", "o")):
            client.put(f"/index/{path}", content=body, headers={"content-type": "text/html"})
        for name in ("a.txt", "d/<b>", "d/e/f", "z z"):
            client.put(f"/lists/{name}", content=b"x" * 1536, headers={"content-type": "text/x"})
            client.put(f"/css/{name}", content=b"x")
        client.put("/lists/folder", content=b"", headers={"content-type": "application/directory"})
        client.put("/lists/folder/in", content=b"")
        client.put("/marked/folder", content=b"", headers={"content-type": "text/folder"})
        client.put("/marked/folder/in", content=b"")
        client.put("/plain/folder", content=b"", headers={"content-type": "application/directory"})
        yield found


def get(sites, path, token="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sites.client(token).get(path, headers=named, follow_redirects=False)


def links(page):
    return re.findall(r'<a href="([^"]*)">([^<]*)</a>', page)


def test_an_index(sites):
    for path, body in (("/index/", "home"), ("/index/sub/", "below"), ("/index/o", "o")):
        answer = get(sites, path)
        assert (answer.status_code, answer.text) == (200, body), path


@pytest.mark.parametrize("path", ["/index", "/index/sub", "/lists/d", "/lists/folder", "/marked/folder"])
def test_a_last_slash_that_is_missing(sites, path):
    answer = get(sites, path)
    assert (answer.status_code, answer.headers["location"]) == (301, f"{sites.url}/v1/{ACCOUNT}{path}/")


def test_a_page_for_errors(sites):
    for path in ("/index/missing", "/index/none/"):
        answer = get(sites, path)
        assert (answer.status_code, answer.text, answer.headers["content-type"]) == (404, "lost", "text/html")


def test_a_list(sites):
    answer = get(sites, "/lists/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=UTF-8")
    assert f"<title>Listing of /v1/{ACCOUNT}/lists/</title>" in answer.text
    assert links(answer.text) == [
        ("./d/", "d/"), ("./folder/", "folder/"), ("./a%2Etxt", "a.txt"), ("./folder", "folder"), ("./z%20z", "z z")
    ]  # fmt: skip
    assert '<tr class="item type-text type-x">' in answer.text
    assert '<td class="colsize">2Ki</td>' in answer.text
    assert "x-backend-content-generator" not in answer.headers


def test_a_list_below(sites):
    answer = get(sites, "/lists/d/")
    assert links(answer.text) == [("../", "../"), ("./e/", "e/"), ("./%3Cb%3E", "&lt;b&gt;")]
    assert links(get(sites, "/lists/folder/").text) == [("../", "../"), ("./in", "in")]
    assert links(get(sites, "/marked/folder/").text) == [("../", "../"), ("./in", "in")]


def test_how_a_list_looks(sites):
    page = get(sites, "/css/d/").text
    assert '<link rel="stylesheet" type="text/css" href="../s/l.css" />' in page
    assert "<title>Listing of My &lt;site&gt;/d/</title>" in page
    for css, wanted in (("/a b.css", "/a%20b.css"), ("https://x.example/c", "https://x.example/c")):
        page = web_pages.listing(web_pages.Style(css), "/v1/a/c/", "", [], web_pages.Links())
        assert f'href="{wanted}"' in page


@pytest.mark.parametrize(
    ("path", "status"),
    [("/lists/missing", 404), ("/lists/missing/", 404), ("/private/", 401), ("/private/o", 401), ("/nowhere/", 401)],
)
def test_what_is_not_there(sites, path, status):
    answer = get(sites, path)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == f'Swift realm="{ACCOUNT}"'


def test_lists_that_are_not_wanted(sites):
    client = sites.client()
    client.put("/quiet", headers=PUBLIC | {"x-container-meta-web-index": "<none>"})
    answer = get(sites, "/quiet/")
    assert answer.status_code == 404
    assert "Web Listing Disabled" in answer.text
    assert "<b>&lt;none&gt;</b>" in answer.text


def test_a_container_that_is_no_site(sites):
    assert get(sites, "/plain").text == "folder\n"
    assert get(sites, "/plain/folder").status_code == 200
    assert get(sites, "/plain/missing").status_code == 404


def test_who_has_a_token_sees_the_store(sites):
    assert get(sites, "/lists", "member").text.startswith("a.txt\n")
    assert links(get(sites, "/lists/", "member", x_web_mode="true").text)
    assert get(sites, "/plain", "member", x_web_mode="true").status_code == 404


def test_heads(sites):
    answer = sites.client("").head("/index/")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "4")
    answer = sites.client("").head("/lists/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=UTF-8")


def test_conditions_hold_for_an_index(sites):
    etag = get(sites, "/index/").headers["etag"]
    assert get(sites, "/index/", if_none_match=etag).status_code == 304


def test_a_site_for_who_has_a_url(sites):
    client, end = sites.client(), int(time.time()) + 600
    client.post("", headers={"x-account-meta-temp-url-key": "key"})
    client.put("/secret", headers={"x-container-meta-web-listings": "1"})
    for name in ("d/one", "d/e/two", "other"):
        client.put(f"/secret/{name}", content=b"x")
    for prefix, path in (("", "/secret/"), ("d/", "/secret/d/")):
        signature = temp_urls.sign("GET", f"prefix:/v1/{ACCOUNT}/secret/{prefix}", end, "key")
        params = {"temp_url_sig": signature, "temp_url_expires": end, "temp_url_prefix": prefix}
        answer = sites.client("").get(path, params=params)
        assert (answer.status_code, answer.headers["content-disposition"]) == (200, "inline")
        found = links(answer.text)
        assert [name for _, name in found] == (["e/", "one"] if prefix else ["d/", "other"])
        link = httpx.URL(answer.url).join(found[-1][0].replace("&amp;", "&"))
        assert httpx.get(link).text == "x"
    assert get(sites, "/secret/").status_code == 401


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0"), (1023, "1023"), (1024, "1Ki"), (1536, "2Ki"), (10 * 1024**3, "10Gi"), (1 << 90, "1024Yi")],
)
def test_sizes_in_few_digits(size, words):
    assert web_pages.human(size) == words


def test_a_site_behind_another_address():
    with store(staticweb={"url_base": "https://www.example/ignored"}) as found:
        found.client().put("/c", headers=PUBLIC | {"x-container-meta-web-listings": "1"})
        assert get(found, "/c").headers["location"] == f"https://www.example/v1/{ACCOUNT}/c/"


DOMAINS = domains.Domains(suffixes=(".store.example",), prefixes=("AUTH", "Other"))


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("auth-one.store.example", ("AUTH_one", "")),
        ("c.AUTH_one.store.example", ("AUTH_one", "c")),
        ("c.other-a-b.store.example", ("Other_a-b", "c")),
        ("c.nobody-one.store.example", None),
        ("store.example", None),
        ("elsewhere.example", None),
    ],
)
def test_hosts_that_stand_for_names(host, wanted):
    assert domains.names(DOMAINS, host) == wanted


def test_a_host_of_too_many_words():
    with pytest.raises(Invalid, match="Bad domain in host header"):
        domains.names(DOMAINS, "a.b.auth-c.store.example")
    assert domains.names(domains.Domains(suffixes=(".x",), default_prefix="AUTH"), "c.one.x") == ("AUTH_one", "c")
    assert domains.names(domains.Domains(suffixes=(".x",), prefixes=()), "c.one.x") == ("one", "c")


def test_requests_to_such_hosts():
    with store(domain_remap={"storage_domain": "store.example", "mangle_client_paths": True}) as found:
        client = found.client()
        client.put("/c", headers=PUBLIC | {"x-container-meta-web-listings": "1"})
        client.put("/c/sub/ü", content=b"body")

        def ask(host, path):
            return httpx.get(f"{found.url}{path}", headers={"host": host})

        assert ask("c.auth-one.store.example:80", "/sub/ü").text == "body"
        assert ask("c.auth-one.store.example", "/v1/sub/ü").text == "body"
        client.post("/c", headers={"x-container-rfc-compliant-etags": "yes"})
        assert ask("c.auth-one.store.example", "/sub/ü").headers["etag"].startswith('"')
        assert ask("auth-one.store.example", "/c/sub/ü").text == "body"
        answer = ask("c.auth-one.store.example", "/sub")
        assert (answer.status_code, answer.headers["location"]) == (301, "http://c.auth-one.store.example/sub/")
        answer = ask("a.c.auth-one.store.example", "/sub")
        assert (answer.status_code, answer.text) == (400, "Bad domain in host header")
        assert httpx.get(f"{found.url}/info").json()["domain_remap"] == {"default_reseller_prefix": None}


@pytest.mark.parametrize("on", [False, True], ids=["off", "on"])
def test_etags_between_quotes(on):
    with store(etag_quoter={"enable_by_default": on}) as found:
        client = found.client()
        client.put("/c")

        def etag():
            answer = client.put("/c/o", content=b"")
            assert client.get("/c/o", headers={"if-match": answer.headers["etag"]}).status_code == 200
            return client.get("/c/o").headers["etag"]

        bare, quoted = "d41d8cd98f00b204e9800998ecf8427e", '"d41d8cd98f00b204e9800998ecf8427e"'
        assert etag() == (quoted if on else bare)
        client.post("", headers={"x-account-rfc-compliant-etags": "yes"})
        assert (etag(), client.head("").headers["x-account-rfc-compliant-etags"]) == (quoted, "True")
        client.post("/c", headers={"x-container-rfc-compliant-etags": "no"})
        assert (etag(), client.head("/c").headers["x-container-rfc-compliant-etags"]) == (bare, "False")
        client.post("/c", headers={"x-remove-container-rfc-compliant-etags": "x"})
        assert etag() == quoted
        client.post("", headers={"x-account-rfc-compliant-etags": ""})
        assert etag() == (quoted if on else bare)
        assert httpx.get(f"{found.url}/info").json()["etag_quoter"] == {"enable_by_default": on}


class Aliases:
    """Of hosts, each for `seconds`; `asked` are those that were looked for."""

    def __init__(self, known, seconds=60.0):
        self.known, self.seconds, self.asked = known, seconds, []

    async def alias(self, host):
        self.asked.append(host)
        return self.seconds, self.known.get(host, "")


@pytest.fixture
def aliased(monkeypatch):
    known = Aliases({"www.other": "c.auth-one.store.example", "far.other": "www.other", "self.other": "self.other"})
    monkeypatch.setattr(cname_lookup, "NameServers", lambda servers: known)
    settings = {"storage_domain": "store.example"}
    with store(cname_lookup=settings | {"lookup_depth": 2}, domain_remap=settings) as found:
        found.client().put("/c", headers=PUBLIC | {"x-container-meta-web-listings": "1"})
        found.client().put("/c/sub/o", content=b"body")
        yield found, known


def test_aliases_of_hosts(aliased):
    found, known = aliased
    for host in ("www.other", "www.other:8080", "far.other", "c.auth-one.store.example"):
        assert httpx.get(f"{found.url}/sub/o", headers={"host": host}).text == "body"
    assert known.asked == ["www.other", "far.other"]
    answer = httpx.get(f"{found.url}/sub", headers={"host": "www.other:8080"})
    assert answer.headers["location"] == "http://www.other:8080/sub/"


@pytest.mark.parametrize("host", ["nobody.other", "self.other"])
def test_hosts_that_are_no_alias(aliased, host):
    answer = httpx.get(f"{aliased[0].url}/sub/o", headers={"host": host})
    assert (answer.status_code, answer.text) == (400, "CNAME lookup failed to resolve to a valid domain")


def test_a_long_way_of_aliases(aliased):
    aliased[1].known["farther.other"] = "far.other"
    answer = httpx.get(f"{aliased[0].url}/sub/o", headers={"host": "farther.other"})
    assert (answer.status_code, answer.text) == (400, "CNAME lookup failed after 2 tries")


def test_name_servers_are_addresses():
    cname_lookup.NameServers(("127.0.0.1:53", "::1", "[::1]:54"))
    with pytest.raises(ValueError, match="does not appear"):
        cname_lookup.NameServers(("ns.example:53",))
