# SPDX-License-Identifier: Apache-2.0
"""The default rules of the block storage service: Cinder's names and Cinder's defaults."""

from __future__ import annotations

from cumulet.services.block_storage.policy import (
    attachments,
    backups,
    core,
    encryption,
    groups,
    manageable,
    messages,
    qos_specs,
    quotas,
    services,
    snapshots,
    transfers,
    volume_types,
    volumes,
)

RULES: dict[str, str] = {
    **attachments.RULES,
    **backups.RULES,
    **core.RULES,
    **encryption.RULES,
    **groups.RULES,
    **manageable.RULES,
    **messages.RULES,
    **qos_specs.RULES,
    **quotas.RULES,
    **services.RULES,
    **snapshots.RULES,
    **transfers.RULES,
    **volume_types.RULES,
    **volumes.RULES,
}
