# SPDX-License-Identifier: Apache-2.0
"""The block storage service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.block_storage.api import (
    absent,
    attachments,
    extensions,
    messages,
    metadata,
    quotas,
    services,
    snapshots,
    transfers,
    versions,
    volume_actions,
    volume_types,
    volume_upload,
    volumes,
)
from cumulet.services.block_storage.api.dialect import MICROVERSIONS, BlockStorageDialect

API = Api(
    service="block_storage",
    root="/block-storage",
    bases=("/v3/{project_id}", "/v3"),
    routes=(
        *volumes.ROUTES,
        *volume_actions.ROUTES,
        *volume_upload.ROUTES,
        *metadata.ROUTES,
        *snapshots.ROUTES,
        *attachments.ROUTES,
        *transfers.ROUTES,
        *volume_types.ROUTES,
        *quotas.ROUTES,
        *services.ROUTES,
        *messages.ROUTES,
        *extensions.ROUTES,
        *absent.ROUTES,
    ),
    unversioned=versions.UNVERSIONED,
    dialect=BlockStorageDialect(),
    microversions=MICROVERSIONS,
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
)
