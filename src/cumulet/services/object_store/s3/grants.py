# SPDX-License-Identifier: Apache-2.0
"""Access control lists of S3: who may do what with a bucket or an object.

Where each has its own (`s3_acl`) they are kept as Swift's s3api keeps them, in JSON. Else canned lists stand for
lists of the container.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson

from cumulet.services.object_store.logic import acls
from cumulet.services.object_store.s3 import documents
from cumulet.services.object_store.s3.documents import Node, element, leaf
from cumulet.services.object_store.s3.errors import S3Error, argument, unsupported

PERMISSIONS = ("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP")
LARGEST = 200 * 1024  # bytes of a document

_GROUPS = {
    "AuthenticatedUsers": "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    "AllUsers": "http://acs.amazonaws.com/groups/global/AllUsers",
    "LogDelivery": "http://acs.amazonaws.com/groups/s3/LogDelivery",
}
_LOG_DELIVERY = ".log_delivery"
_OWNER, _BUCKET_OWNER = "", "\0"  # whom the canned lists mean
_CANNED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "private": (("FULL_CONTROL", _OWNER),),
    "public-read": (("READ", "AllUsers"), ("FULL_CONTROL", _OWNER)),
    "public-read-write": (("READ", "AllUsers"), ("WRITE", "AllUsers"), ("FULL_CONTROL", _OWNER)),
    "authenticated-read": (("READ", "AuthenticatedUsers"), ("FULL_CONTROL", _OWNER)),
    "bucket-owner-read": (("READ", _BUCKET_OWNER), ("FULL_CONTROL", _OWNER)),
    "bucket-owner-full-control": (("FULL_CONTROL", _OWNER), ("FULL_CONTROL", _BUCKET_OWNER)),
    "log-delivery-write": (("WRITE", "LogDelivery"), ("READ_ACP", "LogDelivery"), ("FULL_CONTROL", _OWNER)),
}
_LISTS = {
    "public-read": (".r:*,.rlistings", None),
    "public-read-write": (".r:*,.rlistings", ".r:*"),
    "private": (".", "."),
    "bucket-owner-full-control": (".", "."),
    "bucket-owner-read": (".", "."),
}


class Grant(msgspec.Struct, frozen=True):
    """`grantee` is a user, or the name of one of the groups."""

    permission: str
    grantee: str

    def holds(self, user: str) -> bool:
        if self.grantee == "LogDelivery":
            return user.partition(":")[2] == _LOG_DELIVERY or user == _LOG_DELIVERY
        return self.grantee in _GROUPS or self.grantee == user


class GrantList(msgspec.Struct, frozen=True):
    """`owner` is None where nobody is known to be."""

    owner: str | None = None
    grants: tuple[Grant, ...] = ()

    def allows(self, user: str, permission: str, *, no_owner: bool = False) -> bool:
        """Whether the user may; `OWNER` is a permission of the owner alone. `no_owner`: what nobody owns is open."""
        if self.owner is None:
            if no_owner:
                return True
        elif self.owner == user:
            return True
        return permission in PERMISSIONS and any(
            each.permission in ("FULL_CONTROL", permission) and each.holds(user) for each in self.grants
        )


def canned(name: str, bucket_owner: str, owner: str) -> GrantList:
    """A list by its name; InvalidArgument for none."""
    found = _CANNED.get(name)
    if found is None:
        raise argument("x-amz-acl", name)
    whom = {_OWNER: owner, _BUCKET_OWNER: bucket_owner}
    return GrantList(owner, tuple(Grant(permission, whom.get(each, each)) for permission, each in found))


def of_headers(headers: Mapping[str, str], bucket_owner: str, owner: str) -> GrantList | None:
    """What `x-amz-grant-*` or `x-amz-acl` say; None where they say nothing."""
    grants: list[Grant] = []
    for name, value in headers.items():
        permission = name.removeprefix("x-amz-grant-").upper().replace("-", "_")
        if name.startswith("x-amz-grant-") and permission in PERMISSIONS:
            grants += [Grant(permission, _grantee(each)) for each in value.split(",")]
    name = headers.get("x-amz-acl", "")
    if not name:
        return GrantList(owner, tuple(grants)) if grants else None
    if grants:
        raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    return canned(name, bucket_owner, owner)


def of_document(data: bytes) -> GrantList:
    """MalformedACLError for what is none."""
    try:
        root = documents.parse(data, "AccessControlPolicy")
        root.only("Owner", "AccessControlList")
        owner, listed = root.one("Owner"), root.one("AccessControlList")
        if owner is None or listed is None:
            raise S3Error("MalformedXML")
        listed.only("Grant")
        return GrantList(owner.word("ID"), tuple(_grant(each) for each in listed))
    except S3Error as error:
        if error.code != "MalformedXML":
            raise
        raise S3Error("MalformedACLError") from None


def _grant(node: Node) -> Grant:
    node.only("Grantee", "Permission")
    grantee, permission = node.one("Grantee"), node.word("Permission")
    if grantee is None or permission not in PERMISSIONS:
        raise S3Error("MalformedXML")
    kind = grantee.attribute("type")
    if kind == "CanonicalUser":
        return Grant(permission, grantee.word("ID"))
    if kind == "Group":
        return Grant(permission, _group(grantee.word("URI")))
    if kind == "AmazonCustomerByEmail":
        raise unsupported("Not implemented.")
    raise S3Error("MalformedXML")


def _grantee(said: str) -> str:
    kind, equals, value = said.partition("=")
    kind, value = kind.strip().lower(), value.strip().strip("\"'")
    if not equals:
        raise S3Error("InvalidRequest")
    if kind == "id":
        return value
    if kind == "emailaddress":
        raise unsupported("Not implemented.")
    if kind == "uri":
        return _group(value)
    raise argument(kind, value, "Argument format not recognized")


def _group(uri: str) -> str:
    for name, known in _GROUPS.items():
        if known == uri:
            return name
    raise argument("uri", uri, "Invalid group uri")


def kept(found: GrantList) -> str:
    """As a header of the store, in ASCII."""
    import json  # orjson has no ASCII

    grants = [{"Permission": each.permission, "Grantee": each.grantee} for each in found.grants]
    return json.dumps({"Owner": found.owner, "Grant": grants}, separators=(",", ":"))


def of_kept(said: str) -> GrantList:
    """Nobody's where nothing is kept, or nothing that makes sense."""
    try:
        found = orjson.loads(said.encode("latin-1")) if said else {}
    except (ValueError, UnicodeError):
        return GrantList()
    if not isinstance(found, dict) or not isinstance(found.get("Owner"), str):
        return GrantList()
    grants = found.get("Grant")
    return GrantList(
        found["Owner"],
        tuple(
            Grant(str(each.get("Permission")), str(each.get("Grantee")))
            for each in (grants if isinstance(grants, list) else [])
            if isinstance(each, dict)
        ),
    )


def view(found: GrantList) -> bytes:
    owner = "" if found.owner is None else found.owner
    inside = [element("Grant", _shown(each.grantee), leaf("Permission", each.permission)) for each in found.grants]
    return documents.document("AccessControlPolicy", [person("Owner", owner), element("AccessControlList", *inside)])


def _shown(grantee: str) -> str:
    schema = {"xmlns__xsi": documents.SCHEMA_INSTANCE}
    if grantee in _GROUPS:
        return element("Grantee", leaf("URI", _GROUPS[grantee]), **schema, xsi__type="Group")
    ids = (leaf("ID", grantee), leaf("DisplayName", grantee))
    return element("Grantee", *ids, **schema, xsi__type="CanonicalUser")


def person(tag: str, name: str) -> str:
    return element(tag, leaf("ID", name), leaf("DisplayName", name))


def lists(name: str) -> dict[str, str]:
    """The lists of a container that a canned list stands for. NotImplemented for one that stands for none."""
    if name in ("authenticated-read", "log-delivery-write"):
        raise unsupported("Not implemented.")
    if name not in _LISTS:
        raise argument("x-amz-acl", name)
    read, write = _LISTS[name]
    found = {"x-container-read": read or ""}
    if write is not None:
        found["x-container-write"] = write
    return found


def lists_of_document(data: bytes) -> dict[str, str]:
    """The same for a list that a document describes: the canned one that it is like."""
    name = ""
    for each in of_document(data).grants:
        group = each.grantee in _GROUPS
        if each.permission == "FULL_CONTROL" and not group and name not in ("public-read", "public-read-write"):
            name = "private"
        elif each.permission == "READ" and group and name != "public-read-write":
            name = "public-read"
        elif each.permission == "WRITE" and group:
            name = "public-read-write"
        elif each.permission == "FULL_CONTROL" and not group:
            continue  # the owner's own right does not narrow what all have
        else:
            raise S3Error("MalformedACLError")
    if not name:
        raise S3Error("MalformedACLError")
    return lists(name)


def of_lists(owner: str, headers: Mapping[str, str]) -> GrantList:
    """What the lists of a container say, as grants."""
    grants = [Grant("FULL_CONTROL", owner)]
    for header, permission in (("x-container-read", "READ"), ("x-container-write", "WRITE")):
        if acls.admits("unknown", acls.parse(headers.get(header, "")).referrers):
            grants.append(Grant(permission, "AllUsers"))
    return GrantList(owner, tuple(grants))
