# SPDX-License-Identifier: Apache-2.0
"""boto3, Amazon's own client, against a store on loopback."""

from __future__ import annotations

import base64
import http.client
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cumulet.kernel.allowance import Allowance
from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from support.object_store import PEOPLE, FakeIdentity, ObjectStore, serving
from unit.object_store.feature_stores import store

SMALLEST = 64 * 1024  # of a part, so that the tests are quick
KINDS = ("s3v4", "s3")


@pytest.fixture(scope="module")
def open_store() -> Iterator[ObjectStore]:
    """Buckets have the lists of Swift's containers."""
    options = {"min_segment_size": SMALLEST, "storage_domains": ["localhost"], "cors_preflight_allow_origin": ["*"]}
    with store(s3api=options) as found:
        yield found


@pytest.fixture(scope="module")
def owned_store() -> Iterator[ObjectStore]:
    """Each bucket and object has grants of its own."""
    with store(s3api={"s3_acl": True, "check_bucket_owner": True, "min_segment_size": SMALLEST}) as found:
        yield found


def client(found: ObjectStore, kind: str = "s3v4", user: str = "member", style: str = "path", **more: Any) -> Any:
    host = "127.0.0.1" if style == "path" else "localhost"
    return boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{found.port}",
        region_name="us-east-1",
        aws_access_key_id=user,
        aws_secret_access_key=f"{user}-secret",
        config=Config(
            signature_version=kind, s3={"addressing_style": style}, retries={"max_attempts": 0}, proxies={}, **more
        ),
    )


@contextmanager
def refused(code: str, status: int = 0) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert answer["Error"]["Code"] == code
    assert not status or answer["ResponseMetadata"]["HTTPStatusCode"] == status


def keys(s3: Any, bucket: str, **more: Any) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, **more).get("Contents", [])]


def uploaded(s3: Any, bucket: str, key: str, sizes: list[int], **more: Any) -> tuple[str, list[dict[str, Any]]]:
    """An upload that is not complete, and its parts."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    parts = []
    for number, size in enumerate(sizes, 1):
        body = bytes([64 + number]) * size
        made = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
        assert made["ETag"] == f'"{md5(body).hexdigest()}"'
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
    return upload, parts


@pytest.mark.parametrize("kind", KINDS)
def test_buckets_and_objects(open_store: ObjectStore, kind: str) -> None:
    s3, bucket = client(open_store, kind), f"things-{kind}"
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket=bucket)
    with refused("AccessDenied", 403):
        client(open_store, kind, "nobody").create_bucket(Bucket=bucket)
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    key = "a b/ü~+&?"
    etag = s3.put_object(Bucket=bucket, Key=key, Body=b"hello", Metadata={"Colour_Of": "blue"})["ETag"]
    assert etag == f'"{md5(b"hello").hexdigest()}"'
    found = s3.get_object(Bucket=bucket, Key=key)
    assert (found["Body"].read(), found["Metadata"]) == (b"hello", {"colour_of": "blue"})
    assert found["ContentType"] == "binary/octet-stream"
    assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=1-2")["Body"].read() == b"el"
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 5
    assert keys(s3, bucket) == [key]
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert copy["CopyObjectResult"]["ETag"] == etag
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"colour_of": "blue"}
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key})
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}, {"Key": "copy"}, {"Key": "none"}]})
    assert [each["Key"] for each in deleted["Deleted"]] == [key, "copy", "none"]
    s3.delete_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=bucket)


def test_what_is_not_there(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="absent")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket="absent", Key="k")
    with refused("NoSuchBucket", 404):
        s3.get_object(Bucket="no-bucket", Key="k")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="no-bucket", Key="k", Body=b"")
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket="absent", Key="k", UploadId="none")
    with refused("404", 404):
        s3.head_object(Bucket="absent", Key="k")
    s3.delete_object(Bucket="absent", Key="k")
    with refused("NotImplemented", 501):
        s3.get_bucket_website(Bucket="absent")
    with refused("InvalidLocationConstraint", 400):
        s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "mars"})


def test_who_may(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="k", Body=b"")
    with refused("InvalidAccessKeyId", 403):
        client(open_store, user="stranger").list_buckets()
    with refused("SignatureDoesNotMatch", 403):
        boto3.client(
            "s3",
            endpoint_url=open_store.url,
            region_name="us-east-1",
            aws_access_key_id="member",
            aws_secret_access_key="wrong",
        ).list_buckets()
    assert keys(client(open_store, user="reader"), "mine") == ["k"]
    with refused("AccessDenied", 403):
        client(open_store, user="reader").put_object(Bucket="mine", Key="k", Body=b"")
    with refused("NoSuchBucket", 404):
        keys(client(open_store, user="other"), "mine")


def test_pages_of_listings(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="paged")
    every = [f"{folder}/{number}" for folder in "abc" for number in range(3)] + ["d"]
    for key in every:
        s3.put_object(Bucket="paged", Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="paged", PaginationConfig={"PageSize": 4})
    assert [each["Key"] for page in pages for each in page["Contents"]] == every
    pages = s3.get_paginator("list_objects").paginate(Bucket="paged", Delimiter="/", PaginationConfig={"PageSize": 2})
    found = list(pages)
    assert [each["Prefix"] for page in found for each in page.get("CommonPrefixes", [])] == ["a/", "b/", "c/"]
    assert [each["Key"] for page in found for each in page.get("Contents", [])] == ["d"]
    assert keys(s3, "paged", Prefix="b/", StartAfter="b/0") == ["b/1", "b/2"]


@pytest.mark.parametrize("kind", KINDS)
def test_uploads_in_parts(open_store: ObjectStore, kind: str) -> None:
    s3, bucket = client(open_store, kind), f"parts-{kind}"
    s3.create_bucket(Bucket=bucket)
    upload, parts = uploaded(s3, bucket, "big", [SMALLEST, SMALLEST, 5], ContentType="text/big", Metadata={"a": "b"})
    listed = s3.list_parts(Bucket=bucket, Key="big", UploadId=upload)["Parts"]
    assert [(each["PartNumber"], each["Size"]) for each in listed] == [(1, SMALLEST), (2, SMALLEST), (3, 5)]
    assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    assert keys(s3, bucket) == []
    ends = {"Bucket": bucket, "Key": "big", "UploadId": upload}
    with refused("InvalidPart", 400):
        s3.complete_multipart_upload(**ends, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]})
    etag = s3.complete_multipart_upload(**ends, MultipartUpload={"Parts": parts})["ETag"]
    sums = b"".join(bytes.fromhex(each["ETag"].strip('"')) for each in parts)
    assert etag == f'"{md5(sums).hexdigest()}-3"'
    again = s3.complete_multipart_upload(**ends, MultipartUpload={"Parts": parts})["ETag"]
    assert again == etag
    found = s3.get_object(Bucket=bucket, Key="big")
    whole = b"A" * SMALLEST + b"B" * SMALLEST + b"C" * 5
    assert found["Body"].read() == whole
    assert (found["ETag"], found["ContentType"], found["Metadata"]) == (etag, "text/big", {"a": "b"})
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (entry["ETag"], entry["Size"]) == (etag, len(whole))
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "big"})
    assert copied["CopyObjectResult"]["ETag"] == f'"{md5(whole).hexdigest()}"'
    assert {each["Key"]: each["ETag"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {
        "big": etag,
        "copy": f'"{md5(whole).hexdigest()}"',
    }
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=3)
    assert (part["Body"].read(), part["PartsCount"]) == (b"CCCCC", 3)
    with refused("InvalidPartNumber", 416):
        s3.get_object(Bucket=bucket, Key="big", PartNumber=4)
    assert s3.get_object(Bucket=bucket, Key="big", IfMatch=etag)["Body"].read() == whole
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key="big", IfNoneMatch=etag)
    s3.delete_object(Bucket=bucket, Key="big")
    open_store.run(Upkeep(open_store.engine).deleter.run)
    left = open_store.client().get(f"/{bucket}+segments").text.split()
    assert left == []


def test_parts_that_are_refused_and_given_up(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="given-up")
    upload, parts = uploaded(s3, "given-up", "k", [5, 5])
    ends = {"Bucket": "given-up", "Key": "k", "UploadId": upload}
    with refused("EntityTooSmall", 400):
        s3.complete_multipart_upload(**ends, MultipartUpload={"Parts": parts})
    with refused("InvalidPartOrder", 400):
        s3.complete_multipart_upload(**ends, MultipartUpload={"Parts": parts[::-1]})
    s3.put_object(Bucket="given-up", Key="source", Body=b"0123456789")
    source = {"Bucket": "given-up", "Key": "source"}
    copied = s3.upload_part_copy(**ends, PartNumber=3, CopySource=source, CopySourceRange="bytes=2-4")
    assert copied["CopyPartResult"]["ETag"] == f'"{md5(b"234").hexdigest()}"'
    with refused("InvalidArgument", 400):
        s3.upload_part_copy(**ends, PartNumber=3, CopySource=source, CopySourceRange="bytes=20-24")
    s3.abort_multipart_upload(**ends)
    with refused("NoSuchUpload", 404):
        s3.list_parts(**ends)
    assert open_store.client().get("/given-up+segments").text == ""
    s3.delete_object(Bucket="given-up", Key="source")
    s3.delete_bucket(Bucket="given-up")
    assert open_store.client().get("/given-up+segments").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_signed_urls(open_store: ObjectStore, kind: str) -> None:
    s3, bucket = client(open_store, kind), f"urls-{kind}"
    s3.create_bucket(Bucket=bucket)
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b"})
    urllib.request.urlopen(urllib.request.Request(put, b"hello", {"Content-Type": ""}, method="PUT")).close()
    get = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "a b", "ResponseContentType": "text/odd"}
    )
    with urllib.request.urlopen(get) as answer:
        assert (answer.read(), answer.headers["content-type"]) == (b"hello", "text/odd")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(get.replace("a%20b", "other"))
    assert caught.value.code == 403
    caught.value.close()


def test_no_header_can_be_smuggled_into_an_answer(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="smuggled")
    s3.put_object(Bucket="smuggled", Key="k", Body=b"")
    with refused("InvalidArgument", 400):
        s3.get_object(Bucket="smuggled", Key="k", ResponseContentLanguage="en\r\nX-Evil: 1")
    with refused("InvalidArgument", 400):
        s3.delete_object(Bucket="smuggled", Key="k", VersionId="1\n")


def test_sums_of_uploads(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="sums")
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        s3.put_object(Bucket="sums", Key=algorithm, Body=b"hello" * 20_000, ChecksumAlgorithm=algorithm)
    with refused("BadDigest", 400):
        s3.put_object(Bucket="sums", Key="wrong", Body=b"hello", ChecksumCRC32="AAAAAA==")
    with refused("BadDigest", 400):
        s3.put_object(Bucket="sums", Key="wrong", Body=b"hello", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    assert keys(s3, "sums") == ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]


def test_conditions_of_uploads(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="conditions")
    s3.put_object(Bucket="conditions", Key="k", Body=b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket="conditions", Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        source = {"Bucket": "conditions", "Key": "k"}
        s3.copy_object(Bucket="conditions", Key="l", CopySource=source, CopySourceIfMatch="other")
    with refused("PreconditionFailed", 412):
        s3.get_object(Bucket="conditions", Key="k", IfMatch="other")


def test_versions(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="versions")
    assert "Status" not in s3.get_bucket_versioning(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket="versions")["Status"] == "Enabled"
    first = s3.put_object(Bucket="versions", Key="k", Body=b"one")["VersionId"]
    s3.put_object(Bucket="versions", Key="k", Body=b"two")
    assert s3.delete_object(Bucket="versions", Key="k")["DeleteMarker"] is True
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket="versions", Key="k")
    assert s3.get_object(Bucket="versions", Key="k", VersionId=first)["Body"].read() == b"one"
    listed = s3.list_object_versions(Bucket="versions")
    assert [each["IsLatest"] for each in listed["Versions"]] == [False, False]
    (marker,) = listed["DeleteMarkers"]
    s3.delete_object(Bucket="versions", Key="k", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket="versions", Key="k")["Body"].read() == b"two"
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket="versions")


def test_tags(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="tagged")
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket="tagged")
    tags = [{"Key": "a", "Value": "ü"}]
    s3.put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket="tagged")["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket="tagged")
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket="tagged")
    of_object = {"Bucket": "tagged", "Key": "k"}
    s3.put_object(**of_object, Body=b"x", Tagging="b=1", Metadata={"m": "1"}, CacheControl="no-cache")
    assert s3.get_object_tagging(**of_object)["TagSet"] == [{"Key": "b", "Value": "1"}]
    s3.put_object_tagging(**of_object, Tagging={"TagSet": tags})
    assert s3.get_object_tagging(**of_object)["TagSet"] == tags
    about = s3.head_object(**of_object)
    assert (about["Metadata"], about["CacheControl"]) == ({"m": "1"}, "no-cache")
    s3.copy_object(Bucket="tagged", Key="copy", CopySource=of_object)
    assert s3.get_object_tagging(Bucket="tagged", Key="copy")["TagSet"] == tags
    with refused("NotImplemented", 501):
        s3.put_object_tagging(**of_object, Tagging={"TagSet": tags}, VersionId="null")
    s3.delete_object_tagging(**of_object)
    assert s3.get_object_tagging(**of_object)["TagSet"] == []


def test_rules_for_browsers(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="pages")
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket="pages")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["http://*.example"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket="pages", CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket="pages")["CORSRules"] == [rule]
    s3.put_object(Bucket="pages", Key="k", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "pages", "Key": "k"})
    asked = urllib.request.Request(url, headers={"Origin": "http://a.example"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["access-control-allow-origin"] == "http://a.example"
        assert answer.headers["access-control-expose-headers"] == "ETag"
    before = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=before, method="OPTIONS")) as answer:
        assert answer.headers["access-control-allow-methods"] == "GET"
    s3.delete_bucket_cors(Bucket="pages")


def test_rules_for_expiry(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="expiring")
    rule = {"ID": "logs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 2}}
    s3.put_bucket_lifecycle_configuration(Bucket="expiring", LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket="expiring")["Rules"] == [rule]
    s3.put_object(Bucket="expiring", Key="logs/a", Body=b"")
    s3.put_object(Bucket="expiring", Key="other", Body=b"")
    assert 'rule-id="logs"' in s3.head_object(Bucket="expiring", Key="logs/a")["Expiration"]
    assert "Expiration" not in s3.head_object(Bucket="expiring", Key="other")
    upload, parts = uploaded(s3, "expiring", "logs/big", [5])
    s3.complete_multipart_upload(Bucket="expiring", Key="logs/big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert 'rule-id="logs"' in s3.head_object(Bucket="expiring", Key="logs/big")["Expiration"]


def test_policies(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="policed")
    s3.put_object(Bucket="policed", Key="k", Body=b"hello")
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket="policed")
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",'
        '"Resource":"arn:aws:s3:::policed/*"}]}'
    )
    nobody = open_store.client("")
    assert nobody.get("/policed/k").status_code == 401
    s3.put_bucket_policy(Bucket="policed", Policy=policy)
    assert s3.get_bucket_policy(Bucket="policed")["Policy"] == policy
    assert nobody.get("/policed/k").text == "hello"
    assert nobody.get("/policed").status_code == 401
    s3.delete_bucket_policy(Bucket="policed")
    assert nobody.get("/policed/k").status_code == 401


def test_lists_by_name(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="public", ACL="public-read")
    assert [each["Permission"] for each in s3.get_bucket_acl(Bucket="public")["Grants"]] == ["FULL_CONTROL", "READ"]
    assert open_store.client("").get("/public").status_code == 204
    s3.put_bucket_acl(Bucket="public", ACL="private")
    assert open_store.client("").get("/public").status_code == 401
    with refused("NotImplemented", 501):
        s3.put_bucket_acl(Bucket="public", ACL="authenticated-read")


def test_buckets_in_hosts(open_store: ObjectStore) -> None:
    client(open_store).create_bucket(Bucket="virtual")
    connection = http.client.HTTPConnection("127.0.0.1", open_store.port)
    s3 = client(open_store, style="virtual")
    url = s3.generate_presigned_url("list_objects_v2", Params={"Bucket": "virtual"})
    host, _, path = url.removeprefix("http://").partition("/")
    assert host.startswith("virtual.localhost")
    connection.request("GET", f"/{path}", headers={"Host": host})
    answer = connection.getresponse()
    assert (answer.status, b"<Name>virtual</Name>" in answer.read()) == (200, True)
    connection.close()


def test_grants_of_buckets_and_objects(owned_store: ObjectStore) -> None:
    mine, theirs = client(owned_store), client(owned_store, user="manager")
    mine.create_bucket(Bucket="owned")
    mine.put_object(Bucket="owned", Key="k", Body=b"hello")
    assert mine.get_bucket_acl(Bucket="owned")["Owner"]["ID"] == "one-name:member"
    assert [each["Name"] for each in theirs.list_buckets()["Buckets"]] == []
    for forbidden in (
        lambda: keys(theirs, "owned"),
        lambda: theirs.get_object(Bucket="owned", Key="k"),
        lambda: theirs.put_object(Bucket="owned", Key="l", Body=b""),
        lambda: theirs.get_object_acl(Bucket="owned", Key="k"),
        lambda: theirs.delete_object(Bucket="owned", Key="k"),
        lambda: theirs.delete_bucket(Bucket="owned"),
        lambda: theirs.create_multipart_upload(Bucket="owned", Key="l"),
    ):
        with refused("AccessDenied", 403):
            forbidden()
    with refused("BucketAlreadyExists", 409):
        theirs.create_bucket(Bucket="owned")
    mine.put_object_acl(Bucket="owned", Key="k", ACL="public-read")
    assert theirs.get_object(Bucket="owned", Key="k")["Body"].read() == b"hello"
    mine.put_bucket_acl(Bucket="owned", GrantWrite="id=one-name:manager")
    theirs.put_object(Bucket="owned", Key="l", Body=b"theirs")
    assert theirs.get_object_acl(Bucket="owned", Key="l")["Owner"]["ID"] == "one-name:manager"
    with refused("AccessDenied", 403):
        mine.get_object(Bucket="owned", Key="l")
    upload, parts = uploaded(mine, "owned", "big", [5], ACL="public-read")
    mine.complete_multipart_upload(Bucket="owned", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert theirs.get_object(Bucket="owned", Key="big")["Body"].read() == b"AAAAA"


def test_encryption_at_rest() -> None:
    secret = base64.b64encode(b"k" * 32).decode()
    with store(encryption={"encryption_root_secret": secret}, s3api={"min_segment_size": SMALLEST}) as found:
        s3 = client(found)
        s3.create_bucket(Bucket="sealed")
        s3.put_object(Bucket="sealed", Key="k", Body=b"hello", ServerSideEncryption="AES256")
        about = s3.head_object(Bucket="sealed", Key="k")
        assert (about["ServerSideEncryption"], about["ETag"]) == ("AES256", f'"{md5(b"hello").hexdigest()}"')
        upload, parts = uploaded(s3, "sealed", "big", [SMALLEST, 5])
        ends = {"Bucket": "sealed", "Key": "big", "UploadId": upload}
        etag = s3.complete_multipart_upload(**ends, MultipartUpload={"Parts": parts})["ETag"]
        got = s3.get_object(Bucket="sealed", Key="big")
        assert (got["ETag"], got["ServerSideEncryption"]) == (etag, "AES256")
        assert got["Body"].read() == b"A" * SMALLEST + b"B" * 5
        assert {each["ETag"] for each in s3.list_objects_v2(Bucket="sealed")["Contents"]} == {etag, about["ETag"]}
        with refused("NotImplemented", 501):
            s3.put_object(Bucket="sealed", Key="l", Body=b"", ServerSideEncryption="aws:kms")


def test_no_encryption(open_store: ObjectStore) -> None:
    s3 = client(open_store)
    s3.create_bucket(Bucket="unsealed")
    with refused("NotImplemented", 501):
        s3.put_object(Bucket="unsealed", Key="k", Body=b"", ServerSideEncryption="AES256")


@pytest.mark.parametrize("s3_acl", [False, True], ids=["lists", "grants"])
def test_keys_that_are_good_for_little(s3_acl: bool) -> None:
    """Access rules bind keys as they bind tokens, and who has no project has no account."""
    rule = Allowance("object-store", "GET", "/v1/AUTH_one/open/**")
    limited = msgspec.structs.replace(PEOPLE["member"], allowances=(rule,))
    homeless = msgspec.structs.replace(PEOPLE["member"], project_id="")
    people = FakeIdentity(PEOPLE | {"limited": limited, "homeless": homeless})
    options = Options(filters={"s3api": {"s3_acl": s3_acl}})
    with serving(options=options, identity=people) as found:
        s3, narrow = client(found), client(found, user="limited")
        for bucket in ("open", "shut"):
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
        assert narrow.get_object(Bucket="open", Key="k")["Body"].read() == b"hello"
        for forbidden in (
            lambda: narrow.get_object(Bucket="shut", Key="k"),
            lambda: narrow.put_object(Bucket="open", Key="l", Body=b""),
            lambda: narrow.delete_object(Bucket="open", Key="k"),
            narrow.list_buckets,
        ):
            with refused("AccessDenied", 403):
                forbidden()
        with refused("InvalidAccessKeyId", 403):
            client(found, user="homeless").list_buckets()


def test_swifts_api_has_the_same_data(open_store: ObjectStore) -> None:
    s3, swift = client(open_store), open_store.client()
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="k", Body=b"hello", Metadata={"colour": "blue"})
    found = swift.get("/shared/k")
    assert (found.text, found.headers["x-object-meta-colour"]) == ("hello", "blue")
    swift.put("/shared/l", content=b"swift", headers={"x-object-meta-shape": "round"})
    assert s3.get_object(Bucket="shared", Key="l")["Metadata"] == {"shape": "round"}
    assert not [name for name in found.headers if "sysmeta" in name]
