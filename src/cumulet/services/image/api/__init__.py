# SPDX-License-Identifier: Apache-2.0
"""The image service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.image.api import (
    actions,
    cache,
    data,
    images,
    imports,
    info,
    locations,
    members,
    metadefs_namespaces,
    metadefs_objects,
    metadefs_properties,
    metadefs_resource_types,
    metadefs_schemas,
    metadefs_tags,
    schemas,
    stores,
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
        *stores.ROUTES,
        *cache.ROUTES,
        *schemas.ROUTES,
        *info.ROUTES,
        *tasks.ROUTES,
        *metadefs_namespaces.ROUTES,
        *metadefs_objects.ROUTES,
        *metadefs_properties.ROUTES,
        *metadefs_tags.ROUTES,
        *metadefs_resource_types.ROUTES,
        *metadefs_schemas.ROUTES,
    ),
    unversioned=versions.UNVERSIONED,
    dialect=ImageDialect(),
)
