# SPDX-License-Identifier: Apache-2.0
"""Image bytes in a bucket of a server that speaks S3: written in parts as they come, read by ranges.

A draft that was begun is a multipart upload of what it is going to be, which ends when somebody looks into it or when
it is published. Any other is one of `<prefix>drafts/<name>`, and copied inside the server. What fits into a part waits
in memory.

LIMITATIONS: a draft is written in order by the process that began it, and lives as long as that process; its last
part, which is not full yet, is in memory. No encryption with keys of ours, no storage classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError
from botocore.response import StreamingBody

from cumulet.kernel.blob import s3
from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.ids import is_uuid
from cumulet.services.image.drivers.base import Capabilities, check_name, is_name
from cumulet.services.image.drivers.drafts import Draft, Drafts, out_of_order
from cumulet.services.image.drivers.streams import Body, Nothing, Streams

DRAFTS = "drafts/"
PLACED = "placed."  # what drafts are called that another process has begun in their place
UNKNOWN = "unknown"  # the id of an upload that another process has begun
PIECE = 4 << 20  # bytes best read at once
MOST_PARTS = 10_000  # of one object, and the least bytes of one; Amazon's limits, which others have taken over
LEAST_PART = 5 << 20
GROWTH = 16  # the second half of the parts is so much larger
_COPIED = 512 << 20  # bytes of an object that are copied at once


class _Draft(Draft):
    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place  # the key of the object that it is an upload of
        self.upload = ""  # the id of the multipart upload, once there is one
        self.parts: list[dict[str, Any]] = []
        self.ended = False  # whether the upload is an object by now
        self.sealed = False  # whether that object goes with the draft


class S3Store:
    """`ByteStore` in `bucket` of a server, below `prefix`; `part_size` in bytes."""

    def __init__(self, server: s3.Server, bucket: str, prefix: str = "", *, part_size: int = 16 << 20) -> None:
        self._server = server
        self._bucket = bucket
        self._prefix = prefix
        self._part_size = max(part_size, LEAST_PART)
        parts = urlsplit(server.address)
        self._address = f"s3+{parts.scheme}://{parts.netloc}/{bucket}/{prefix}"
        self._drafts: Drafts[_Draft] = Drafts()
        self._streams = Streams(self._begin)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(sparse=False, durable=True, local=False, anywhere=False, piece=PIECE)

    def begin(self, draft: str, key: str) -> None:
        self._drafts.begin(draft, _Draft(check_name(key)))

    def write(self, draft: str, offset: int, data: bytes) -> None:
        found = self._drafts.to_write(draft, offset, partial(_Draft, DRAFTS + draft))
        with found.lock:
            if offset != found.written or found.ended:
                raise out_of_order(draft, found)
            found.add(data)
            found.send_parts(partial(self._next_part, found), partial(self._send_part, found))

    def read_draft(self, draft: str, offset: int, length: int) -> bytes:
        found = self._drafts.get(draft)
        with found.lock:
            if not found.upload:
                return bytes(found.waiting[offset : offset + length])
            self._seal(found)
        return self._streams.read(found.place, offset, min(length, max(0, found.written - offset)))

    def drafts(self) -> dict[str, float]:
        ages = self._drafts.ages()
        own = {each.place for each in self._drafts.all().values()}
        for name, when in self._objects(DRAFTS):
            ages.setdefault(name, _age(when))
        for place, when in self._uploads():
            name = place.removeprefix(DRAFTS) if place.startswith(DRAFTS) else PLACED + place
            if place not in own and is_name(name):
                ages[name] = min(_age(when), ages.get(name, _age(when)))
        return ages

    def publish(self, draft: str, key: str, size: int) -> None:
        check_name(key)
        found = self._drafts.find(draft)
        if found is None:
            if self._size(key) != size:
                raise NotFound(f"There is no draft {draft}.")
            return
        with found.lock, _asking():
            if not found.upload:
                content = bytes(found.waiting[:size]).ljust(size, b"\0")
                self._client.put_object(Bucket=self._bucket, Key=self._name(key), Body=content)
            else:
                self._pad(draft, found, size)
                self._seal(found)
                if (found.place, found.written) != (key, size):
                    self._copy(found.place, key, size)
                found.sealed = found.place != key  # what has its place is no draft any more
        self._forget(draft, found)

    def discard(self, draft: str) -> None:
        found = self._drafts.find(draft)
        if found is None:
            found = _Draft(draft.removeprefix(PLACED) if draft.startswith(PLACED) else DRAFTS + draft)
            found.upload, found.sealed = UNKNOWN, found.place.startswith(DRAFTS)
        self._forget(draft, found)

    def _forget(self, draft: str, found: _Draft) -> None:
        """Remove what there is of a draft, in memory and on the server."""
        self._drafts.forget(draft)
        self._streams.forget(found.place)
        if not found.upload:
            return
        name = self._name(found.place)
        with _asking():
            for upload in self._upload_ids(name) if found.upload == UNKNOWN or not found.ended else ():
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload)
            if found.sealed:
                self._client.delete_object(Bucket=self._bucket, Key=name)

    def size(self, key: str) -> int:
        found = self._size(key)
        if found is None:
            raise NotFound(f"There are no bytes of {key}.")
        return found

    def read(self, key: str, offset: int, length: int) -> bytes:
        return self._streams.read(check_name(key), offset, length)

    def url(self, key: str) -> str:
        return self._address + key

    def key_of(self, url: str) -> str | None:
        name = url.removeprefix(self._address)
        return name if name != url and is_name(name) else None

    def delete(self, key: str) -> None:
        self._streams.forget(key)
        with _asking():
            self._client.delete_object(Bucket=self._bucket, Key=self._name(check_name(key)))

    def published(self) -> dict[str, float]:
        return {name: _age(when) for name, when in self._objects("")}

    @property
    def _client(self) -> Any:
        return self._server.client

    def _next_part(self, found: _Draft) -> int:
        return self._part_size * (1 if len(found.parts) < MOST_PARTS // 2 else GROWTH)

    def _send_part(self, found: _Draft, content: bytes) -> None:
        where = {"Bucket": self._bucket, "Key": self._name(found.place)}
        with _asking():
            if not found.upload:
                found.upload = self._client.create_multipart_upload(**where)["UploadId"]
            number = len(found.parts) + 1
            answer = self._client.upload_part(**where, UploadId=found.upload, PartNumber=number, Body=content)
        found.parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _pad(self, draft: str, found: _Draft, size: int) -> None:
        if found.ended and size > found.written:
            raise ValueError(f"the draft {draft} has {found.written} bytes and has been looked into")
        found.pad(size, self._part_size, partial(self._send_part, found))

    def _seal(self, found: _Draft) -> None:
        """Make of the parts of a draft an object that can be read."""
        if found.ended:
            return
        found.send_rest(partial(self._send_part, found))
        with _asking():
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._name(found.place),
                UploadId=found.upload,
                MultipartUpload={"Parts": found.parts},
            )
        found.ended = found.sealed = True

    def _copy(self, source: str, key: str, size: int) -> None:
        """Copy the first `size` bytes of an object inside the server."""
        origin = {"Bucket": self._bucket, "Key": self._name(source)}
        where = {"Bucket": self._bucket, "Key": self._name(key)}
        upload = self._client.create_multipart_upload(**where)["UploadId"]
        try:
            parts = []
            for number, start in enumerate(range(0, size, _COPIED), 1):
                span = f"bytes={start}-{min(size, start + _COPIED) - 1}"
                answer = self._client.upload_part_copy(
                    **where, UploadId=upload, PartNumber=number, CopySource=origin, CopySourceRange=span
                )
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            self._client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self._client.abort_multipart_upload(**where, UploadId=upload)
            raise

    def _size(self, key: str) -> int | None:
        try:
            with _asking():
                found = self._client.head_object(Bucket=self._bucket, Key=self._name(check_name(key)))
        except NotFound:
            return None
        return int(found["ContentLength"])

    def _begin(self, key: str, offset: int) -> Body:
        where = {"Bucket": self._bucket, "Key": self._name(key)}
        try:
            with _asking():
                answer = self._client.get_object(**where, **({"Range": f"bytes={offset}-"} if offset else {}))
        except s3.Behind:
            return Nothing()
        return _Answer(answer["Body"])

    def _uploads(self) -> Iterator[tuple[str, datetime]]:
        """The places of our multipart uploads, and when each was last added to; other names are somebody else's."""
        where = {"Bucket": self._bucket}
        start = self._prefix
        with _asking():
            for page in self._client.get_paginator("list_multipart_uploads").paginate(**where, Prefix=start):
                for each in page.get("Uploads", ()):
                    place, when = each["Key"].removeprefix(start), each.get("Initiated")
                    if not place.startswith(DRAFTS) and not is_uuid(place):
                        continue
                    parts = self._client.get_paginator("list_parts")
                    for found in parts.paginate(**where, Key=each["Key"], UploadId=each["UploadId"]):
                        stamps = [part["LastModified"] for part in found.get("Parts", ()) if "LastModified" in part]
                        when = max([*stamps, *([when] if when else [])], default=None)
                    yield place, when or datetime.now().astimezone()

    def _upload_ids(self, name: str) -> list[str]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=name)
        return [each["UploadId"] for page in pages for each in page.get("Uploads", ()) if each["Key"] == name]

    def _objects(self, below: str) -> Iterator[tuple[str, datetime]]:
        """The objects right below a place, without those deeper down, and when each was written."""
        start = self._name(below)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start, Delimiter="/")
        with _asking():
            for page in pages:
                for each in page.get("Contents", ()):
                    name = each["Key"].removeprefix(start)
                    if is_name(name):
                        yield name, each["LastModified"]

    def _name(self, key: str) -> str:
        return self._prefix + key


class _Answer:
    """The body of an object."""

    def __init__(self, body: StreamingBody) -> None:
        self._body = body

    def read(self, length: int) -> bytes:
        try:
            return cast(bytes, self._body.read(length))
        except (BotoCoreError, OSError) as error:
            raise NotReady(f"The store's answer broke off: {type(error).__name__}.") from error

    def close(self) -> None:
        self._body.close()


def _asking() -> AbstractContextManager[None]:
    return s3.asking("Image storage media is full: the store has no room")


def _age(when: datetime) -> float:
    return max(0.0, time.time() - when.timestamp())
