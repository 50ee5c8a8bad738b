# SPDX-License-Identifier: Apache-2.0
"""Whom tokens and access keys stand for, as the object store is told (`contract.ObjectStoreAuth`)."""

from __future__ import annotations

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from cumulet.services.identity.contract import Allowed, Holder, KeyHolder, Told
from cumulet.services.identity.logic import ec2_login, passes, revocations, tokens
from cumulet.services.identity.types import Bearer

SERVICE_ROLE = "service"


class Holders:
    """`contract.ObjectStoreAuth`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def epoch(self) -> int:
        return revocations.epoch_now(self._cloud)

    def token(self, token: str, service_token: str = "") -> Told:
        epoch = self.epoch()
        try:
            return Told(epoch=epoch, holder=self._holder(token, service_token, epoch))
        except Unauthorized:
            return Told(epoch=epoch)

    def access_key(self, access: str) -> Told:
        epoch = self.epoch()
        try:
            key, bearer = ec2_login.holder(self._cloud, access)
        except (NotFound, Unauthorized, Forbidden, Invalid, Conflict):
            return Told(epoch=epoch)
        return Told(epoch=epoch, key=KeyHolder(holder=_said(bearer), secret=key.secret or ""))

    def _holder(self, token: str, service_token: str, epoch: int) -> Holder:
        if passes.is_one(token):
            return passes.read(self._cloud, token)
        if not service_token:
            return _said(tokens.read(self._cloud, token, epoch=epoch))
        carrier = _said(tokens.read(self._cloud, service_token, epoch=epoch))
        window = self._cloud.settings.identity.allow_expired_window if SERVICE_ROLE in carrier.roles else 0
        found = _said(tokens.read(self._cloud, token, expired_for=window, epoch=epoch))
        ends = min(found.ends + window, carrier.ends)
        return msgspec.structs.replace(found, service_roles=carrier.roles, ends=ends)


def _said(bearer: Bearer) -> Holder:
    project, domain = bearer.project, bearer.project_domain
    rules = bearer.access_rules
    return Holder(
        user_id=bearer.user.id,
        user_name=bearer.user.name,
        user_domain_id=bearer.user_domain.id,
        project_id=project.id if project else "",
        project_name=project.name if project else "",
        project_domain_id=domain.id if domain else "",
        roles=tuple(sorted({role.name.lower() for role in bearer.roles})),
        allowed=None if rules is None else tuple(Allowed(rule.service, rule.method, rule.path) for rule in rules),
        ends=float(bearer.token.expires_at),
    )
