# SPDX-License-Identifier: Apache-2.0
"""Values that nobody in good faith sends."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, quote_from_bytes

NO_SUCH = "00000000-0000-4000-8000-000000000000"


def deep(levels: int) -> Any:
    """Lists in lists."""
    value: Any = "core"
    for _ in range(levels):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 2**64, 10**30, 1.5, 1e308, -0.0),
    *("", " ", "x", "\x00", "a\x00b", "\ud800", "\uffff", "\U0001f600" * 100, "x" * 256, "x" * 70_000, "\t\r\n"),
    *("\u0661\u0662", "\u00b2", "\uff11", "e\u0301", "%s%n%(x)s", "../../etc/passwd", "'; DROP TABLE x; --", "${x}"),
    *("None", "null", "true", "-1", "0", "1e9", "NaN", "Infinity", "2020-01-01T00:00:00Z", "9999-99-99", "{", "["),
    *("10.0.0.0/8", "10.0.0.1/33", "::/0", "fe80::1%eth0", "00:00:00:00:00:00", "http://[::1", "*", "a:b:c"),
    *(NO_SUCH, NO_SUCH.upper(), NO_SUCH.replace("-", "")),
    *([], [None], [[]], [{}], ["x"] * 300, {}, {"": None}, {"x" * 300: 1}, {"id": NO_SUCH}, {"\x00": "\x00"}),
    *(deep(20), deep(300)),
)  # fmt: skip

# Bodies that are not what JSON encoders make.
RAW: tuple[bytes, ...] = (
    *(b"", b"{", b"null", b"1", b'"x"', b"[]", b"NaN", b'{"a": NaN}', b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a": 1,}'),
    *(b'{"a": 1, "a": 2}', b'"\\ud800"', b'{"\\u0000": 1}', b"[" * 100_000, b'{"a":' * 5_000, b"1" * 5_000),
    *(b"\x1f\x8b\x08\x00", b"name=x&x=y", b"<a/>", b"{" + b'"a": ' + b"1" * 400 + b"}"),
)

# Of one segment of a path, encoded already.
SEGMENTS: tuple[str, ...] = (
    *(NO_SUCH, "1", "0", "-1", "x", "detail", "None", "%00", "%ff%fe", "%2f", "%2e%2e", "..%2f..", "%", "%zz", "a%20b"),
    *(
        quote("\u00b2"),
        quote("\U0001f600"),
        quote("x" * 300),
        "x" * 3_000,
        quote_from_bytes(b"\x01\x7f"),
        "9" * 40,
        "9" * 5_000,
    ),
    *("action", "%3Bx", "*", "'", "%22", "a,b", "tag", "(x)"),
)

# Of a value in a query, encoded already.
WORDS: tuple[str, ...] = (
    *(
        "",
        "x",
        "0",
        "1",
        "-1",
        "9" * 40,
        "true",
        "None",
        "%00",
        "%ff",
        "%",
        "[",
        "%7B",
        "%7B%27a%27%3A1%7D",
        "a,b",
        "a:b",
    ),
    *(quote("\u0661"), quote("\u00b2"), quote("\U0001f600"), "x" * 3_000, NO_SUCH, "2020-01-01T00:00:00"),
    *(
        "not-a-date",
        "in:a,b",
        "gt:1",
        "in:%22a",
        "neq:",
        "asc",
        "name:asc,id:sideways",
        "%20",
        "%2B",
        "%26",
        "%3D",
        "10.0.0.1/33",
        "*",
    ),
    *("9" * 5_000, "-" + "9" * 5_000, "created_at", "__class__", "name__contains", "1e9", "nan", "%27%20OR%201%3D1"),
)

# Headers that any request may have.
HEADERS: tuple[tuple[str, str], ...] = (
    *(("Content-Type", value) for value in ("", "text/plain", "application/json; charset=utf-7", "x" * 300, "a/b/c")),
    *(("Accept", value) for value in ("", "text/html", "*", "application/json;q=x", ",,,", "\u00e9")),
    *(("OpenStack-API-Version", value) for value in ("", "x", "compute", "volume 3.999", "placement 1.x", "2.1")),
    *(("X-OpenStack-Nova-API-Version", value) for value in ("latest", "2.999", "\u00b2.1", "1" * 300)),
    *(("X-OpenStack-Request-ID", value) for value in ("x", "req-x", f"req-{NO_SUCH}", "x" * 1000)),
    *(("X-Subject-Token", value) for value in ("", "x", "\u00e9", "A" * 250, "x" * 5000)),
    *(("X-Service-Token", value) for value in ("", "x", "\u00e9")),
    *(("Range", value) for value in ("bytes=5-1", "bytes=-", "bytes=x", "bytes=0-99999999999999999999", "x")),
    *(("Content-Range", "bytes 9-1/x"), ("If-Match", "revision_number=x"), ("If-Match", "x"), ("If-None-Match", "*")),
    *(("X-Forwarded-Proto", "javascript"), ("Host", "x" * 300), ("Expect", "x"), ("X-Auth-Token", "\u00e9")),
    *(("Content-Encoding", "gzip"), ("X-HTTP-Method-Override", "DELETE"), ("Cookie", "a=b; ;=")),
)
