# SPDX-License-Identifier: Apache-2.0
"""Servers that speak S3: how they are connected to, what their refusals mean, and `Blobs` in one of their buckets.

Loaded by those who have such a store alone: its library is an extra, and heavy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cumulet.kernel.blob import StorageFull, check, home_of
from cumulet.kernel.errors import NotFound, NotReady

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_FULL = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity"})
_AT_ONCE = 1000  # names that one request removes; Amazon's limit


class Behind(NotReady):
    """What was asked for is behind the end of the object."""


class Server:
    """A server that speaks S3 at `endpoint` (empty: Amazon's in `region`), connected to when it is asked first.

    `secret_key_file` holds the secret of `access_key`; without that, both are found as Amazon's tools find them.
    """

    def __init__(
        self,
        endpoint: str = "",
        *,
        region: str = "us-east-1",
        access_key: str = "",
        secret_key_file: Path | None = None,
    ) -> None:
        self._endpoint, self._region = endpoint, region
        self._access_key, self._secret_key_file = access_key, secret_key_file
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def address(self) -> str:
        """Its URL."""
        return self._endpoint or f"https://s3.{self._region}.amazonaws.com"

    @property
    def client(self) -> Any:
        """What asks it; NotReady where its secret cannot be read."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        secret = None
        if self._access_key and self._secret_key_file is not None:
            try:
                secret = self._secret_key_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise NotReady(f"The secret key of the store cannot be read: {error.strerror}.") from error
        choices = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 3},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if self._endpoint else "auto"},
        )
        return _session().create_client(
            "s3",
            region_name=self._region,
            endpoint_url=self._endpoint or None,
            aws_access_key_id=self._access_key or None,
            aws_secret_access_key=secret,
            config=choices,
        )


@contextmanager
def asking(full: str = "The store has no room.") -> Iterator[None]:
    """What the library raises, as the kernel's errors; `full` is what a StorageFull says."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _ABSENT:
            raise NotFound("The store has no such object.") from error
        if code in _FULL:
            raise StorageFull(full) from error
        if code in ("InvalidRange", "416"):
            raise Behind("The object ends before.") from error
        raise NotReady(f"The store refuses: {code}.") from error
    except (BotoCoreError, OSError) as error:
        raise NotReady(f"The store does not answer: {type(error).__name__}.") from error


class S3Blobs:
    """`Blobs` in `bucket` of a server, below `prefix`."""

    def __init__(self, server: Server, bucket: str, prefix: str = "") -> None:
        self._server, self._bucket, self._prefix = server, bucket, prefix

    def home(self, container: str) -> str:
        return home_of(container)

    def put(self, name: str, content: bytes) -> None:
        with asking():
            self._server.client.put_object(Bucket=self._bucket, Key=self._key(name), Body=content)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if length is not None and length <= 0:
            return b""
        words = {}
        if offset or length is not None:
            words["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            with asking():
                answer = self._server.client.get_object(Bucket=self._bucket, Key=self._key(name), **words)
                return cast(bytes, answer["Body"].read())
        except Behind:
            return b""

    def names(self, below: str) -> Iterator[str]:
        pages = self._server.client.get_paginator("list_objects_v2")
        with asking():
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._key(below)}/"):
                for each in page.get("Contents", ()):
                    yield each["Key"].removeprefix(self._prefix)

    def delete(self, name: str) -> None:
        with asking():
            self._server.client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def delete_all(self, below: str) -> None:
        found = [self._key(name) for name in self.names(below)]
        for start in range(0, len(found), _AT_ONCE):
            gone = {"Objects": [{"Key": key} for key in found[start : start + _AT_ONCE]], "Quiet": True}
            with asking():
                answer = self._server.client.delete_objects(Bucket=self._bucket, Delete=gone)
            if refused := answer.get("Errors"):
                raise NotReady(f"The store refuses: {refused[0].get('Code')}.")

    def tidy(self, below: str) -> None:
        """Nothing: what was not put whole is not kept."""

    def _key(self, name: str) -> str:
        return self._prefix + check(name)


@cache
def _session() -> Any:
    """One for all stores: it remembers the descriptions of the operations, which take long to read."""
    return botocore.session.get_session()
