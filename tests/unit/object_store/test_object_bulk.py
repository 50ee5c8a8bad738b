# SPDX-License-Identifier: Apache-2.0
"""Archives whose files become objects, and lists of names to be deleted."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import io
import os
import tarfile
import threading
import tracemalloc

import httpx
import pytest

from cumulet.services.object_store.api.archives import Archive
from cumulet.services.object_store.logic.limits import Limits
from unit.object_store.feature_stores import store

JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def bulk():
    settings = {"max_failed_extractions": 3, "max_failed_deletes": 3, "max_deletes_per_request": 10,
                "max_containers_per_extraction": 3}  # fmt: skip
    with store(limits=Limits(max_file_size=100_000), bulk=settings) as found:
        yield found


def tar(*files, packed="", form=tarfile.PAX_FORMAT):
    """`files` are names with bodies, and attributes where there is a third."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{packed}", format=form) as archive:
        for name, body, *more in files:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            info.pax_headers = more[0] if more else {}
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def extract(client, data, path="", kind="tar", **headers):
    answer = client.put(f"{path}?extract-archive={kind}", content=data, headers=JSON | headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def delete(client, names, **headers):
    answer = client.post("?bulk-delete", content=names, headers=JSON | {"content-type": "text/plain"} | headers)
    assert answer.status_code == 200
    return answer.json()


def empty(client):
    for container in client.get("?format=json").json():
        for each in client.get(f"/{container['name']}?format=json").json():
            client.delete(f"/{container['name']}/{each['name']}")
        client.delete(f"/{container['name']}")


@pytest.mark.parametrize(
    "form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT], ids=["pax", "gnu", "v7"]
)
@pytest.mark.parametrize("packed", ["", "gz", "bz2"], ids=["plain", "gz", "bz2"])
def test_every_file_becomes_an_object(bulk, packed, form):
    client = bulk.client()
    bodies = {"a": b"", "./b": b"x" * 512, "/deep/" + "d" * 90: os.urandom(70_000), "ü": b"umlaut"}
    if form != tarfile.USTAR_FORMAT:
        bodies["l" * 300] = b"long"
    data = tar(*bodies.items(), ("dir", b""), packed=packed, form=form)
    told = extract(client, data, "/up/pre", f".tar.{packed}".rstrip("."))
    assert told == {
        "Response Status": "201 Created", "Response Body": "", "Number Files Created": len(bodies) + 1, "Errors": []
    }  # fmt: skip
    for name, body in bodies.items():
        assert client.get(f"/up/pre/{name.removeprefix('./').lstrip('/')}").content == body
    empty(client)


def test_only_files_and_their_attributes(bulk):
    client = bulk.client()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as archive:
        for name, kind in (("c/dir", tarfile.DIRTYPE), ("c/link", tarfile.SYMTYPE), ("c/fifo", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "c/o"
            archive.addfile(info)
        for tool, name in (("SCHILY", "c/gnu"), ("LIBARCHIVE", "c/bsd")):
            info = tarfile.TarInfo(name)
            begin = f"{tool}.xattr.user."
            info.pax_headers = {f"{begin}meta.Colour": "rot", f"{begin}mime_type": "text/x", f"{begin}other": "no"}
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("no-container"))
    told = extract(client, stream.getvalue(), **{"x-object-meta-all": "1", "x-delete-after": "900"})
    assert (told["Number Files Created"], told["Errors"]) == (2, [])
    for name in ("gnu", "bsd"):
        headers = client.head(f"/c/{name}").headers
        assert (headers["x-object-meta-colour"], headers["x-object-meta-all"]) == ("rot", "1")
        assert headers["content-type"] == "text/x"
        assert "x-delete-at" in headers
        assert "x-object-meta-other" not in headers
    empty(client)


def test_what_cannot_be_an_object_is_told(bulk):
    client = bulk.client()
    evil = {"SCHILY.xattr.user.meta.a": "1\r\nset-cookie: x"}
    files = [
        ("c/" + "x" * 1025, b""),
        ("c/big", bytes(100_001)),
        ("c/good", b"1"),
        ("c/evil", b"", evil),
        ("c/late", b""),
    ]
    told = extract(client, tar(*files))
    assert (told["Response Status"], told["Number Files Created"]) == ("400 Bad Request", 1)
    assert told["Errors"] == [
        ["c/" + "x" * 1025, "400 Bad Request"], ["c/big", "413 Request Entity Too Large"], ["c/evil", "400 Bad Request"]
    ]  # fmt: skip
    assert [each["name"] for each in client.get("/c?format=json").json()] == ["good"]
    empty(client)


def test_names_that_are_not_utf8(bulk):
    info = tarfile.TarInfo("c/bad\udcff")
    data = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + bytes(1024)
    assert extract(bulk.client(), data)["Errors"] == [["c/bad%FF", "412 Precondition Failed"]]


def test_files_with_holes_are_refused(bulk):
    info = tarfile.TarInfo("c/holes")
    info.type = tarfile.GNUTYPE_SPARSE
    assert extract(bulk.client(), info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))["Errors"] == [
        ["c/holes", "400 Bad Request"]
    ]


def test_too_many_containers(bulk):
    client = bulk.client()
    told = extract(client, tar(*((f"{name}/o", b"") for name in "abcde")))
    assert (told["Response Status"], told["Number Files Created"]) == ("400 Bad Request", 3)
    assert told["Response Body"] == "More than 3 containers to create from tar."
    empty(client)


@pytest.mark.parametrize(
    ("token", "status", "failed"),
    [("", "401 Unauthorized", 0), ("other", "400 Bad Request", 2)],
    ids=["nobody", "other"],
)
def test_who_may_not(bulk, token, status, failed):
    told = extract(bulk.client(token), tar(("c/o", b"")))
    assert (told["Response Status"], told["Number Files Created"], len(told["Errors"])) == (status, 0, failed)


GOOD = tar(("c/o", os.urandom(5000)), ("c/p", os.urandom(5000)))


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        (b"", "tar", "empty file"),
        (b"hello" * 1000, "tar", "invalid header"),
        (b"hello" * 1000, "tar.gz", "not a gz file"),
        (b"hello" * 1000, "tar.bz2", "not a bz2 file"),
        (GOOD[:700], "tar", "unexpected end of data"),
        (GOOD[:5700], "tar", "truncated header"),
        (gzip.compress(GOOD)[:8000], "tar.gz", "unexpected end of data"),
        (bz2.compress(GOOD)[:20], "tar.bz2", "unexpected end of data"),
        (bytes(1024), "tar", "No Valid Files"),
    ],
    ids=["nothing", "no-tar", "no-gz", "no-bz2", "half-a-file", "half-a-header", "half-gz", "half-bz2", "no-files"],
)
def test_what_is_no_archive(bulk, data, kind, why):
    told = extract(bulk.client(), data, kind=kind)
    assert told["Response Status"] == "400 Bad Request"
    assert told["Response Body"].startswith("Invalid Tar File: ")
    assert why in told["Response Body"] or "bad checksum" in told["Response Body"]
    empty(bulk.client())


def test_an_unknown_format(bulk):
    answer = bulk.client().put("/c?extract-archive=zip", content=b"x")
    assert (answer.status_code, answer.text) == (400, "Unsupported archive format")


def test_forms_of_the_answer(bulk):
    client = bulk.client()
    data = tar(("c/<o>\n" + "x" * 1024, b""))
    name = "c/%3Co%3E%0A" + "x" * 1024
    answer = client.put("?extract-archive=tar", content=data)
    assert answer.text == (
        "Number Files Created: 0\nResponse Body: \nResponse Status: 400 Bad Request\n"
        f"Errors:\n{name}, 400 Bad Request\n"
    )
    answer = client.put("?extract-archive=tar", content=data, headers={"accept": "text/xml"})
    assert (answer.headers["content-type"], answer.text) == ("text/xml", (
        "<extract>\n<number_files_created>0</number_files_created>\n<response_body></response_body>\n"
        "<response_status>400 Bad Request</response_status>\n<errors>\n"
        f"<object><name>{name}</name><status>400 Bad Request</status></object>\n</errors>\n</extract>\n"
    ))  # fmt: skip
    for accept in ("image/png", "nonsense"):
        answer = client.put("?extract-archive=tar", content=data, headers={"accept": accept})
        assert "Response Status: 406 Not Acceptable" in answer.text
    empty(client)


def test_a_list_of_names_is_deleted_containers_last(bulk):
    client = bulk.client()
    for container in ("c", "d"):
        client.put(f"/{container}")
        client.put(f"/{container}/ü o", content=b"")
    told = delete(client, "c\n/c/%C3%BC%20o\r\n\nd\nmissing/o\nmissing")
    assert told == {
        "Response Status": "400 Bad Request", "Response Body": "", "Number Deleted": 2, "Number Not Found": 2,
        "Errors": [["d", "409 Conflict"]],
    }  # fmt: skip
    told = delete(client, "d/%C3%BC%20o\nd")
    assert (told["Response Status"], told["Number Deleted"]) == ("200 OK", 2)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_both_methods(bulk, method):
    client = bulk.client()
    client.put("/c")
    answer = client.request(method, "?bulk-delete", content=b"c", headers={"content-type": "text/plain"})
    assert answer.text == "Number Deleted: 1\nNumber Not Found: 0\nResponse Body: \nResponse Status: 200 OK\nErrors:\n"


@pytest.mark.parametrize(
    ("names", "headers", "status", "words"),
    [
        ("", {}, "400 Bad Request", "Invalid bulk delete."),
        ("a/b\n" * 11, {}, "413 Request Entity Too Large", "Maximum Bulk Deletes: 10 per request"),
        ("x" * 3000, {}, "400 Bad Request", "Invalid File Name"),
        ("c/o", {"content-type": "text/xml"}, "406 Not Acceptable", ""),
        ("c/%ff", {}, "400 Bad Request", ""),
        ("a/%ff\n" * 5, {}, "400 Bad Request", "Max delete failures exceeded"),
    ],
    ids=["nothing", "too-many", "too-long", "another-type", "not-utf8", "too-many-failures"],
)
def test_lists_that_are_refused(bulk, names, headers, status, words):
    told = delete(bulk.client(), names, **headers)
    assert (told["Response Status"], told["Response Body"]) == (status, words)


def test_strangers_delete_nothing(bulk):
    client = bulk.client()
    client.put("/c")
    assert delete(bulk.client("other"), "c")["Errors"] == [["c", "403 Forbidden"]]
    assert delete(bulk.client(""), "c")["Errors"] == [["c", "401 Unauthorized"]]
    assert client.head("/c").status_code == 204
    empty(client)


def test_who_waits_hears_blanks():
    with store(bulk={"yield_frequency": 0.01}) as found:
        client, due = found.client(), threading.Event()
        data = tar(("c/o", b"x" * 10_000))

        def pieces():
            yield data[:3000]
            assert due.wait(20)
            yield data[3000:]

        timer = threading.Timer(0.2, due.set)
        timer.start()
        try:
            answer = client.put("?extract-archive=tar", content=pieces(), headers=JSON)
        finally:
            due.set()
            timer.join()
        assert answer.content.startswith(b"  ")
        assert answer.json()["Number Files Created"] == 1


def test_what_info_tells(bulk):
    told = httpx.get(f"{bulk.url}/info").json()
    assert told["bulk_upload"] == {"max_containers_per_extraction": 3, "max_failed_extractions": 3}
    assert told["bulk_delete"] == {"max_deletes_per_request": 10, "max_failed_deletes": 3}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress], ids=["gz", "bz2"])
def test_little_that_becomes_much_is_never_in_memory(pack):
    size = 1 << 25
    info = tarfile.TarInfo("c/zeros")
    info.size = size
    data = pack(info.tobuf() + bytes(size) + bytes(1024))

    async def read():
        async def pieces():
            for at in range(0, len(data), 1 << 16):
                yield data[at : at + (1 << 16)]

        archive = Archive(pieces(), "gz" if pack is gzip.compress else "bz2")
        assert (await archive.member()).size == size
        total = 0
        while piece := await archive.data():
            total += len(piece)
        return total, await archive.member()

    tracemalloc.start()
    try:
        assert asyncio.run(read()) == (size, None)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
