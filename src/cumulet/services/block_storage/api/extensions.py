# SPDX-License-Identifier: Apache-2.0
"""What the service says of itself: `/extensions`, `/resource_filters`."""

from __future__ import annotations

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.block_storage.api.common import route

FILTERS = (3, 33)

# Alias and name of what is served of Cinder's extensions.
_SERVED = {
    "backups": "Backups",
    "capabilities": "Capabilities",
    "cgsnapshots": "Cgsnapshots",
    "consistencygroups": "Consistencygroups",
    "encryption": "VolumeTypeEncryption",
    "os-admin-actions": "AdminActions",
    "os-availability-zone": "AvailabilityZones",
    "os-extended-services": "ExtendedServices",
    "os-extended-snapshot-attributes": "ExtendedSnapshotAttributes",
    "os-hosts": "Hosts",
    "os-quota-class-sets": "QuotaClasses",
    "os-quota-sets": "Quotas",
    "os-services": "Services",
    "os-snapshot-actions": "SnapshotActions",
    "os-snapshot-manage": "SnapshotManage",
    "os-snapshot-unmanage": "SnapshotUnmanage",
    "os-types-extra-specs": "TypesExtraSpecs",
    "os-types-manage": "TypesManage",
    "os-used-limits": "UsedLimits",
    "os-vol-host-attr": "VolumeHostAttribute",
    "os-vol-image-meta": "VolumeImageMetadata",
    "os-vol-mig-status-attr": "VolumeMigStatusAttribute",
    "os-vol-tenant-attr": "VolumeTenantAttribute",
    "os-volume-actions": "VolumeActions",
    "os-volume-encryption-metadata": "VolumeEncryptionMetadata",
    "os-volume-manage": "VolumeManage",
    "os-volume-transfer": "VolumeTransfer",
    "os-volume-type-access": "VolumeTypeAccess",
    "os-volume-unmanage": "VolumeUnmanage",
    "qos-specs": "Qos_specs_manage",
    "OS-SCH-HNT": "SchedulerHints",
    "scheduler-stats": "Scheduler_stats",
}
UPDATED = "2015-01-01T00:00:00-00:00"


def find_extensions(request: Request) -> Reply:
    return Reply(200, {"extensions": [_view(alias) for alias in _SERVED]})


def get_extension(request: Request) -> Reply:
    alias = request.params["alias"]
    if alias not in _SERVED:
        raise NotFound("The resource could not be found.")
    return Reply(200, {"extension": _view(alias)})


def find_filters(request: Request) -> Reply:
    wanted = request.query.get("resource")
    filters = request.cloud.settings.block_storage.resource_filters
    rows = [{"resource": name, "filters": list(names)} for name, names in filters.items() if wanted in (None, name)]
    return Reply(200, {"resource_filters": rows})


def _view(alias: str) -> dict[str, object]:
    return {"alias": alias, "name": _SERVED[alias], "description": "", "links": [], "updated": UPDATED}


ROUTES = (
    route("GET", "/extensions", find_extensions, ANYONE),
    route("GET", "/extensions/{alias}", get_extension, ANYONE),
    route("GET", "/resource_filters", find_filters, ANYONE, since=FILTERS),
)
