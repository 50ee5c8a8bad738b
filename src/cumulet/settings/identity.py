# SPDX-License-Identifier: Apache-2.0
"""Settings of identity."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import Count, Section


class Identity(Section, frozen=True, kw_only=True):
    """Tokens, passwords, projects and limits; lifetimes and windows are in seconds.

    `token_provider` seals new tokens (those of the other are still taken). With `rescope` a scoped token may be
    exchanged for another. A service may use a token, to end what was begun with it, `allow_expired_window` after its
    end. `totp_previous_windows` is how many 30 second passcodes before the present one are taken too. The method
    `external` trusts the header `external_header`, from the addresses `external_from` alone; it is off while empty.
    What users lend to consumers by OAuth 1 ends after `oauth1_access_lifetime` (0: never), what is only asked for after
    `oauth1_request_lifetime`. Clients with a certificate get tokens by OAuth 2.0 once `oauth2_certificate_header` is
    set, which counts from the addresses `external_from` alone; `oauth2_mapping` says who they are. A certificate by
    one of `tokenless_issuers` (names by RFC 4514) stands for a token; who it is for, `tokenless_protocol` says.

    New passwords are hashed by `password_hash_algorithm`, with the parameters that begin with its name (`bcrypt_rounds`
    and `scrypt_rounds` are logarithms); an older hash is replaced at its user's next log-in. `limit_model` says how
    limits of domains and projects bind each other. What a directory says of a user who uses the cloud is asked anew
    after `directory_cache_time`.

    `trusted_dashboards` are the addresses that tokens of a browser's log-in may be sent to. A group that an identity
    provider brought outlives its log-in by `authorization_ttl` minutes, unless the provider says its own.
    `saml_entity_id` is this cloud's name among SAML parties (default: its address); the assertions that it makes for
    other clouds last `saml_assertion_lifetime`.

    Notifications have `notification_format`; those whose event type is in `notification_opt_out` are not written.
    """

    token_lifetime: Count = 3600
    token_provider: Literal["fernet", "jws"] = "fernet"  # noqa: S105  no secret
    rescope: bool = True
    allow_expired_window: Annotated[int, msgspec.Meta(ge=0)] = 172_800
    receipt_lifetime: Count = 300
    totp_previous_windows: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    max_redelegation: Annotated[int, msgspec.Meta(ge=0)] = 3
    application_credential_limit: Annotated[int, msgspec.Meta(ge=-1)] = -1
    oauth1_request_lifetime: Annotated[int, msgspec.Meta(ge=0)] = 28_800
    oauth1_access_lifetime: Annotated[int, msgspec.Meta(ge=0)] = 86_400
    oauth2_certificate_header: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9-]+)?$")] = ""
    oauth2_mapping: str = "oauth2_mapping"
    tokenless_issuers: tuple[str, ...] = ()
    tokenless_protocol: str = "x509"
    external_header: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9-]+)?$")] = ""
    external_from: tuple[str, ...] = ("127.0.0.1", "::1")
    password_hash_algorithm: Literal["bcrypt", "scrypt", "pbkdf2_sha512"] = "bcrypt"  # noqa: S105  no secret
    bcrypt_rounds: Annotated[int, msgspec.Meta(ge=4, le=31)] = 12
    scrypt_rounds: Annotated[int, msgspec.Meta(ge=1, le=24)] = 16
    scrypt_block_size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    scrypt_parallelism: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    pbkdf2_sha512_rounds: Annotated[int, msgspec.Meta(ge=1000)] = 60_000
    max_project_tree_depth: Count = 5
    limit_model: Literal["flat", "strict_two_level"] = "flat"
    directory_cache_time: Count = 600
    trusted_dashboards: tuple[str, ...] = ()
    authorization_ttl: Annotated[int, msgspec.Meta(ge=0)] = 0
    saml_entity_id: str = ""
    saml_assertion_lifetime: Count = 3600
    notification_format: Literal["cadf", "basic"] = "cadf"
    notification_opt_out: tuple[str, ...] = ("identity.authenticate.success", "identity.authenticate.pending")


class SecurityCompliance(Section, frozen=True, kw_only=True):
    """Rules of passwords and accounts, under Keystone's names and with its defaults; None: there is no such rule."""

    lockout_failure_attempts: Count | None = None
    lockout_duration: Count | None = 1800
    disable_user_account_days_inactive: Count | None = None
    password_expires_days: Count | None = None
    unique_last_password_count: Annotated[int, msgspec.Meta(ge=0)] = 0
    minimum_password_age: Annotated[int, msgspec.Meta(ge=0)] = 0
    password_regex: str | None = None
    password_regex_description: str | None = None
    change_password_upon_first_use: bool = False
    report_invalid_password_hash: tuple[Literal["event"], ...] = ()
    invalid_password_hash_max_chars: Count | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.password_regex or "")
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from None
