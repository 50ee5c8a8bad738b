# SPDX-License-Identifier: Apache-2.0
"""Who has signed a request: signatures of version 2 and 4, in the header Authorization or in the query (presigned).

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import sha1, sha256
from typing import Literal
from urllib.parse import quote

import msgspec

from cumulet.services.object_store.s3 import times
from cumulet.services.object_store.s3.asked import Asked, stripped
from cumulet.services.object_store.s3.errors import S3Error, argument
from cumulet.services.object_store.s3.settings import Settings

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = sha256(b"").hexdigest()
WEEK = 604_800  # seconds: the longest that a URL of version 4 may last

# What else of the query version 2 signs.
SUBRESOURCES = frozenset(
    (
        "acl", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy",
        "publicAccessBlock", "requestPayment", "torrent", "uploads", "uploadId", "versionId", "versioning",
        "versions", "website", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
        "cors", "tagging", "restore", "object-lock",
    )
)  # fmt: skip

_MUST_BE_SIGNED = ("x-amz-copy", "x-amz-acl", "x-amz-grant", "x-amz-meta")
_OLD_BOTO = re.compile("Boto/2.[0-9].[0-2]")  # leaves the port out of what it signs
_NO_DATE = "AWS authentication requires a valid Date or x-amz-date header"
_WORDS = {
    "date": 'Invalid credential date "%s". This date is not the same as X-Amz-Date: "%s".',
    "region": "%s the region '%s' is wrong; expecting '%s'",
    "service": '%s incorrect service "%s". This endpoint belongs to "%s".',
    "terminal": '%s incorrect terminal "%s". This endpoint uses "%s".',
}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to be signed by the secret of `access`, and the signature; nothing is proven by it.

    `text` is what is signed, or `other` where clients differ on that. `canonical` is the request that a signature of
    version 4 is for. `date` is when it was signed, `scope` for which
    day, region and service.
    """

    version: Literal[2, 4]
    access: str
    signature: str
    text: bytes = b""
    other: bytes = b""
    canonical: bytes = b""
    date: str = ""
    scope: tuple[str, ...] = ()
    signed: frozenset[str] = frozenset()
    in_query: bool = False

    def key(self, secret: str) -> bytes:
        """What signs in the scope."""
        key = secret.encode()
        if self.version == 4:
            key = b"AWS4" + key
            for each in self.scope:
                key = hmac.digest(key, each.encode(), sha256)
        return key

    def holds(self, secret: str) -> bool:
        """Whether it is the signature by this secret."""
        key, said = self.key(secret), self.signature.encode()
        if self.version == 4:
            return hmac.compare_digest(hmac.digest(key, self.text, sha256).hex().encode(), said)
        sums = [hmac.digest(key, each, sha1) for each in (self.text, self.other or self.text)]
        return any(hmac.compare_digest(base64.b64encode(each), said) for each in sums)

    def mismatch(self) -> S3Error:
        """The refusal: what was signed here, for the client to compare."""
        extra = {
            "AWSAccessKeyId": self.access,
            "StringToSign": self.text.decode("utf-8", "replace"),
            "SignatureProvided": self.signature,
            "StringToSignBytes": self.text.hex(" "),
        }
        if self.version == 4:
            extra["CanonicalRequest"] = self.canonical.decode("utf-8", "replace")
            extra["CanonicalRequestBytes"] = self.canonical.hex(" ")
        return S3Error("SignatureDoesNotMatch", **extra)


def is_signed(asked: Asked) -> bool:
    """Whether it is a request of S3 at all."""
    return (
        "X-Amz-Credential" in asked.query
        or "AWSAccessKeyId" in asked.query
        or asked.headers.get("authorization", "").startswith(("AWS ", f"{ALGORITHM} "))
    )


def claimed(asked: Asked, settings: Settings, now: float) -> Claim:
    """What the signature says; its time is judged, and not yet whether it holds. To be finished by `completed`."""
    if "X-Amz-Credential" in asked.query or asked.headers.get("authorization", "").startswith(f"{ALGORITHM} "):
        return _claimed_4(asked, settings, now)
    return _claimed_2(asked, settings, now)


def completed(claim: Claim, asked: Asked, bucket_in_host: str | None) -> Claim:
    """With what is signed."""
    if claim.version == 2:
        path = f"/{bucket_in_host}{asked.raw_path}" if bucket_in_host else asked.raw_path
        text = _text_2(asked, path, in_query=claim.in_query)
        # Amazon's own clients sign a slash behind a bucket that they leave out of the path.
        bucket = path.count("/") == 1 and len(path) > 1
        other = _text_2(asked, f"{path}/", in_query=claim.in_query) if bucket else b""
        return msgspec.structs.replace(claim, text=text, other=other)
    canonical = _canonical(asked, claim)
    lines = (ALGORITHM, claim.date, "/".join(claim.scope), sha256(canonical).hexdigest())
    return msgspec.structs.replace(claim, canonical=canonical, text="\n".join(lines).encode())


# Version 2


def _claimed_2(asked: Asked, settings: Settings, now: float) -> Claim:
    if "AWSAccessKeyId" in asked.query:
        _check_end_2(asked, now)
        words = [asked.query.get(each, "") for each in ("AWSAccessKeyId", "Signature", "Expires")]
        if not all(words):
            raise S3Error("AccessDenied")
        return Claim(version=2, access=_text(words[0]), signature=_text(words[1]), in_query=True)
    _check_date(asked, settings, now, times.V2)
    access, colon, signature = asked.headers["authorization"].partition(" ")[2].rpartition(":")
    if not colon:
        raise S3Error("AccessDenied")
    return Claim(version=2, access=_text(access), signature=_text(signature))


def _check_end_2(asked: Asked, now: float) -> None:
    try:
        end = float(asked.query.get("Expires", ""))
    except ValueError:
        raise S3Error("AccessDenied") from None
    if not 0 <= end <= times.LAST:  # not a number either
        raise S3Error("AccessDenied")
    if end < now:
        raise S3Error("AccessDenied", "Request has expired")
    if end >= 2**31:
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {asked.query['Expires']}")


def _text_2(asked: Asked, path: str, *, in_query: bool) -> bytes:
    headers = asked.headers
    lines = [asked.method, stripped(headers.get("content-md5")) or "", stripped(headers.get("content-type")) or ""]
    amazon = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
    if in_query:
        lines.append(asked.query["Expires"])
    elif "x-amz-date" in amazon:
        lines.append("")
    elif "date" in headers:
        lines.append(headers["date"])
    lines += [f"{name}:{amazon[name].strip()}" for name in sorted(amazon)]
    said = [f"{name}={value}" if value else name for name, value in sorted(asked.query.items()) if name in SUBRESOURCES]
    lines.append(f"{path}?{'&'.join(said)}" if said else path)
    return "\n".join(lines).encode("latin-1")


# Version 4


def _claimed_4(asked: Asked, settings: Settings, now: float) -> Claim:
    in_query = "X-Amz-Credential" in asked.query
    if in_query:
        lasts = _lasts(asked)
        date = _date(asked, times.V4, asked.query.get("X-Amz-Date"))
        if date + lasts < now:
            raise S3Error("AccessDenied", "Request has expired")
    else:
        date = _check_date(asked, settings, now, times.V4)
    credential, signature, signed = _said_in_query(asked) if in_query else _said_in_header(asked)
    parts = credential.split("/")
    if len(parts) != 5 or not parts[0]:
        raise S3Error("AccessDenied")
    if not signature:
        raise S3Error("AccessDenied")
    if signed is None:
        raise S3Error("AuthorizationHeaderMalformed")
    when = times.basic(date)
    return Claim(
        version=4,
        access=parts[0],
        signature=signature,
        date=when,
        scope=_scope(parts[1:], when, settings.location, in_query=in_query),
        signed=frozenset(signed.split(";")),
        in_query=in_query,
    )


def _said_in_query(asked: Asked) -> tuple[str, str, str | None]:
    """Credential, signature and names of signed headers, None without these."""
    query = asked.query
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise argument("X-Amz-Algorithm", query.get("X-Amz-Algorithm"))
    signed = query.get("X-Amz-SignedHeaders")
    credential, signature = _text(query["X-Amz-Credential"]), _text(query.get("X-Amz-Signature", ""))
    return credential, signature, None if signed is None else _text(signed)


def _said_in_header(asked: Asked) -> tuple[str, str, str | None]:
    said = _text(asked.headers["authorization"])
    credential, signature, signed = (
        said.partition(f"{each}=")[2].split(",", 1)[0] for each in ("Credential", "Signature", "SignedHeaders")
    )
    return credential, signature, signed or None


def _scope(parts: list[str], when: str, region: str, *, in_query: bool) -> tuple[str, ...]:
    """What the request is signed for, which has to be this day, region and service."""
    wanted = [when[:8], region, "s3", "aws4_request"]
    head = "Error parsing the X-Amz-Credential parameter;" if in_query else "The authorization header is malformed;"
    code = "AuthorizationQueryParametersError" if in_query else "AuthorizationHeaderMalformed"
    for place, (name, words) in enumerate(_WORDS.items()):
        said, right = parts[place], wanted[place]
        if said == right:
            continue
        if name == "region" and said == right.lower():  # so Amazon's SDK for .NET has it
            wanted[place] = said
            continue
        about = (said, right) if name == "date" else (head, said, right)
        raise S3Error(code, words % about, **({"Region": right} if name == "region" else {}))
    return tuple(wanted)


def _lasts(asked: Asked) -> int:
    """For how many seconds a URL is good."""
    said = asked.query.get("X-Amz-Expires")
    if said is None:
        raise S3Error("AccessDenied")
    try:
        lasts = int(said)
    except ValueError:
        lasts = 2**63
    words = ""
    if lasts < 0:
        words = "X-Amz-Expires must be non-negative"
    elif lasts >= 2**63:
        words = "X-Amz-Expires should be a number"
    elif lasts > WEEK:
        words = (
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{WEEK} seconds"
        )
    if words:
        raise S3Error("AuthorizationQueryParametersError", words)
    return lasts


def _canonical(asked: Asked, claim: Claim) -> bytes:
    pairs = sorted(
        (_quoted(name), _quoted(value)) for name, value in asked.pairs if name not in ("Signature", "X-Amz-Signature")
    )
    headers = _signed_headers(asked, claim.signed)
    lines = [asked.method, _quoted(asked.path, "/"), "&".join(f"{name}={value}" for name, value in pairs)]
    lines.append("".join(f"{name}:{value}\n" for name, value in headers))
    lines.append(";".join(name for name, _ in headers))
    lines.append(asked.headers.get("x-amz-content-sha256", UNSIGNED))
    return "\n".join(lines).encode("latin-1")


def _signed_headers(asked: Asked, signed: frozenset[str]) -> list[tuple[str, str]]:
    found = {name: " ".join((stripped(value) or "").split()) for name, value in asked.headers.items()}
    for name in found:
        if name not in signed and name.startswith(_MUST_BE_SIGNED):
            words = "There were headers present in the request which were not signed"
            raise S3Error("AccessDenied", words, HeadersNotSigned=name)
    if "host" in found and _OLD_BOTO.match(found.get("user-agent", "")):
        found["host"] = found["host"].partition(":")[0]
    headers = [(name, found[name]) for name in sorted(found) if name in signed]
    if len(headers) != len(signed):
        raise S3Error("SignatureDoesNotMatch")
    return headers


# Both


def _check_date(asked: Asked, settings: Settings, now: float, form: str) -> int:
    """When it was signed, which has to be about now."""
    if not asked.headers.get("date") and not asked.headers.get("x-amz-date"):
        raise S3Error("AccessDenied", _NO_DATE)
    date = _date(asked, form)
    if abs(date - int(now)) > settings.allowable_clock_skew:
        raise S3Error("RequestTimeTooSkewed")
    return date


def _date(asked: Asked, form: str, said: str | None = None) -> int:
    text = said if said is not None else asked.headers.get("x-amz-date") or asked.headers.get("date")
    try:
        date = times.seconds(text or "", form)
    except ValueError:
        date = -1
    if date < 0:
        raise S3Error("AccessDenied", _NO_DATE)
    if date > times.LAST:
        raise S3Error("RequestTimeTooSkewed")
    return date


def _quoted(words: str, safe: str = "") -> str:
    return quote(words.encode("latin-1"), safe="-_.~" + safe)


def _text(words: str) -> str:
    return words.encode("latin-1").decode("utf-8", "replace")
