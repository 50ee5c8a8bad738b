# SPDX-License-Identifier: Apache-2.0
"""The image service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.image.api import (
    actions,
    data,
    images,
    imports,
    info,
    locations,
    members,
    schemas,
    metadefs_namespaces,
    metadefs_objects,
    metadefs_properties,
    metadefs_resource_types,
    metadefs_schemas,
    metadefs_tags,
    tags,
    tasks,
    versions,
)
from cumulet.services.image.api.dialect import ImageDialect
from cumulet.services.image.api.views import BASE

API = Api(
    service="image",
    root="/image",
    bases=(BASE,),
    routes=(
        *images.ROUTES,
        *data.ROUTES,
        *imports.ROUTES,
        *actions.ROUTES,
        *tags.ROUTES,
        *members.ROUTES,
        *locations.ROUTES,
        *schemas.ROUTES,
        *info.ROUTES,
        *tasks.ROUTES,
    ),
    unversioned=versions.UNVERSIONED,
    dialect=ImageDialect(),
)
        *metadefs_namespaces.ROUTES,
        *metadefs_objects.ROUTES,
        *metadefs_properties.ROUTES,
        *metadefs_tags.ROUTES,
        *metadefs_resource_types.ROUTES,
        *metadefs_schemas.ROUTES,
