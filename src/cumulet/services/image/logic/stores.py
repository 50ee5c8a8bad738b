# SPDX-License-Identifier: Apache-2.0
"""The stores of this cloud: which there are, which is the default, and the drivers behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Gone, Invalid, NotFound, NotReady, Unsupported
from cumulet.services.image.drivers.base import ByteStore, ReadableStore
from cumulet.services.image.drivers.http import HttpStore
from cumulet.services.image.drivers.web import Filter
from cumulet.services.image.logic import accounts
from cumulet.services.image.logic.bytes import fake_store, file_store, home
from cumulet.settings import Settings
from cumulet.settings.image import (
    LOCAL_STORE,
    AnyImageStore,
    FakeImageStore,
    FileImageStore,
    HttpImageStore,
    ImageStore,
    S3ImageStore,
    SwiftImageStore,
)

if TYPE_CHECKING:
    from cumulet.kernel.blob.swift import Account

NO_STORE = "NoSuchStore"
STORES_FOLDER = "image-stores"  # in the state directory: the stores that have no folder of their own


class Store(msgspec.Struct, frozen=True):
    """A store: what the settings say of it, and how it is read. `properties` are shown to administrators."""

    id: str
    type: str
    description: str
    weight: int
    read_only: bool
    default: bool
    bytes: ReadableStore
    properties: dict[str, Any]

    @property
    def writable(self) -> ByteStore:
        """How it is written; Gone, as Glance answers, where it is only read."""
        if self.read_only:
            raise Gone("Error in store configuration. Adding images to store is disabled.")
        return cast(ByteStore, self.bytes)


class _Opened:
    """The stores that this process has opened."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stores: tuple[Store, ...] = ()


def find_all(cloud: Cloud) -> tuple[Store, ...]:
    """Every store, in the order of the settings."""
    opened = cloud.keep(_Opened)
    with opened.lock:
        if not opened.stores:
            said = declared(cloud.settings)
            usual = _default_id(cloud.settings, said)
            opened.stores = tuple(
                open_store(cloud.settings, each, default=each.id == usual, account=partial(accounts.find, cloud))
                for each in said
            )
        return opened.stores


def find(cloud: Cloud, store_id: str) -> Store | None:
    """The store of this id, if there is one."""
    return next((each for each in find_all(cloud) if each.id == store_id), None)


def get(cloud: Cloud, store_id: str) -> Store:
    """The store of this id; NotFound where there is none."""
    found = find(cloud, store_id)
    if found is None:
        raise NotFound(f"There is no store {store_id}.", code=NO_STORE)
    return found


def chosen(cloud: Cloud, named: str | None) -> Store:
    """The store that a request names for new data, or the default; Invalid where there is none of that name."""
    if named is None:
        return default(cloud)
    found = find(cloud, named)
    if found is None:
        raise Invalid(f"Store for identifier {named} not found")
    return found


def default(cloud: Cloud) -> Store:
    """Where images go that nobody chose a store for."""
    return next(each for each in find_all(cloud) if each.default)


def holder(cloud: Cloud, url: str) -> tuple[Store, str] | None:
    """The store that an address is in and the name of the bytes there; None for an address in no store."""
    for each in find_all(cloud):
        key = each.bytes.key_of(url)
        if key is not None:
            return each, key
    return None


def declared(settings: Settings) -> tuple[AnyImageStore, ...]:
    """What the settings say of the stores: where nothing, there is one."""
    if settings.image.stores:
        return settings.image.stores
    if settings.image.driver == "fake":
        return (FakeImageStore(id=LOCAL_STORE),)
    return (FileImageStore(id=LOCAL_STORE),)


def open_store(
    settings: Settings, said: AnyImageStore, *, default: bool = False, account: Callable[[str], Account] | None = None
) -> Store:
    """A store as the settings say it. Unsupported where what it needs is not installed.

    `account` tells that of a project in the object store; without it such a store cannot be used (NotReady).
    """
    if isinstance(said, SwiftImageStore):
        kept, properties = (
            _swift(said, account or _nobodys),
            {
                "container": said.container,
                "large_object_size": said.part_size >> 20,
                "large_object_chunk_size": said.part_size >> 20,
            },
        )
    else:
        kept, properties = _driver(settings, said)
    read_only = said.read_only or not hasattr(kept, "write")
    return Store(said.id, _kind(said), said.description, said.weight, read_only, default, kept, properties)


def folder_of(settings: Settings, said: ImageStore) -> Path | None:
    """Where a store on this machine's disks has its files; None for one that is elsewhere."""
    first = said.id == LOCAL_STORE
    if isinstance(said, FileImageStore):
        own = said.folder.absolute() if said.folder.name else None
        return own or (home(settings.state) if first else settings.state / STORES_FOLDER / said.id)
    if isinstance(said, FakeImageStore):
        return home(settings.state, "fake") if first else settings.state / STORES_FOLDER / f"{said.id}-fake"
    return None


def _default_id(settings: Settings, said: tuple[AnyImageStore, ...]) -> str:
    named = settings.image.default_store
    return named or next(each.id for each in said if not each.read_only and _kind(each) != "http")


def _kind(said: ImageStore) -> str:
    return str(type(said).__struct_config__.tag)


def _driver(settings: Settings, said: AnyImageStore) -> tuple[ReadableStore, dict[str, Any]]:
    folder = folder_of(settings, said)
    if folder is not None and isinstance(said, FakeImageStore):
        return fake_store(settings.state, folder), {}
    if folder is not None:
        return file_store(folder), {"data_dir": str(folder), "chunk_size": 1 << 20, "thin_provisioning": True}
    if isinstance(said, HttpImageStore):
        return HttpStore(
            Filter(**{name: getattr(settings.image_import, name) for name in Filter.__struct_fields__}), said.timeout
        ), {}
    assert isinstance(said, S3ImageStore)
    return _s3(said), {
        "s3_store_large_object_size": said.part_size >> 20,
        "s3_store_large_object_chunk_size": said.part_size >> 20,
        "s3_store_thread_pools": 1,
    }


def _swift(said: SwiftImageStore, account: Callable[[str], Account]) -> ReadableStore:
    # What it takes is loaded by those who have such a store alone.
    from cumulet.kernel.blob.swift import SwiftClient
    from cumulet.services.image.drivers.swift import SwiftStore

    trusted = said.ca_file if said.ca_file.name else None
    client = SwiftClient(partial(account, said.project), trusted)
    return SwiftStore(client, said.container, said.storage_policy, part_size=said.part_size)


def _nobodys(_project: str) -> Account:
    raise NotReady("Who may use the object store is known to a running cloud alone.")


def _s3(said: S3ImageStore) -> ReadableStore:
    # Its library is an extra, and heavy: only those who have such a store import it.
    try:
        from cumulet.kernel.blob.s3 import Server
        from cumulet.services.image.drivers.s3 import S3Store
    except ModuleNotFoundError as error:
        raise Unsupported("Stores of type s3 need more to be installed: pip install 'cumulet[s3]'") from error

    server = Server(
        said.endpoint,
        region=said.region,
        access_key=said.access_key,
        secret_key_file=said.secret_key_file if said.secret_key_file.name else None,
    )
    return S3Store(server, said.bucket, said.prefix, part_size=said.part_size)
