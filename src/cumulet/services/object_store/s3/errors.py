# SPDX-License-Identifier: Apache-2.0
"""What S3 refuses, in its own words.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; where Swift's s3api has other words than these,
they are Swift's.
"""

from __future__ import annotations

from collections.abc import Mapping

Extra = Mapping[str, "str | int | None"]

_KNOWN: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied."),
    "AuthorizationHeaderMalformed": (
        400,
        (
            "The authorization header is malformed; the authorization header requires three components: Credential, "
            "SignedHeaders, and Signature."
        ),
    ),
    "AuthorizationQueryParametersError": (400, ""),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "BadRequest": (400, "Bad Request"),
    "BrokenMPU": (409, "Multipart upload has broken segment data."),
    "BucketAlreadyExists": (
        409,
        (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again."
        ),
    ),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
    "IllegalVersioningConfigurationException": (
        400,
        "The Versioning configuration specified in the request is invalid.",
    ),
    "IncompleteBody": (
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument."),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidLocationConstraint": (400, "The specified location constraint is not valid."),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
            "specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order.Parts list must specified in order by part number.",
    ),
    "InvalidRange": (416, "The requested range cannot be satisfied."),
    "InvalidRequest": (400, "Invalid Request."),
    "InvalidStorageClass": (400, "The storage class you specified is not valid."),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long."),
    "MalformedACLError": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema.",
    ),
    "MalformedPolicy": (400, "This policy contains invalid Json"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request body is empty."),
    "MissingSecurityHeader": (400, "Your request was missing a required header."),
    "NoLoggingStatusForKey": (400, "There is no such thing as a logging status sub-resource for a key."),
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        (
            "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload "
            "might have been aborted or completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NotImplemented": (501, "Not implemented."),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "OperationAborted": (
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    ),
    "PreconditionFailed": (412, "At least one of the preconditions you specified did not hold."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    "ServiceUnavailable": (503, "Please reduce your request rate."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method."
        ),
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "UnexpectedContent": (400, "This request does not support content."),
    "UserKeyMustBeSpecified": (
        400,
        (
            "The bucket POST must contain the specified field name. If it is specified, please check the order of the "
            "fields."
        ),
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}


class S3Error(Exception):
    """A refusal: its code, and what S3 says of it unless `message` does.

    `extra` are further elements of the document, by their tags, in this order. None may hold a secret.
    """

    def __init__(self, code: str, message: str = "", **extra: str | int | None) -> None:
        known, words = _KNOWN[code]
        super().__init__(f"{code}: {message or words}")
        self.code, self.status, self.message = code, known, message or words
        self.extra: Extra = extra
        self.headers: dict[str, str] = {}


def argument(name: str, value: str | int | None, message: str = "") -> S3Error:
    """A header or a parameter that is not as it has to be."""
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)


def no_bucket(bucket: str) -> S3Error:
    return S3Error("NoSuchBucket", BucketName=bucket)


def no_key(key: str) -> S3Error:
    return S3Error("NoSuchKey", Key=key)


def not_allowed(method: str, resource: str) -> S3Error:
    return S3Error("MethodNotAllowed", Method=method, ResourceType=resource)


def unsupported(message: str = "The requested resource is not implemented") -> S3Error:
    return S3Error("NotImplemented", message)
