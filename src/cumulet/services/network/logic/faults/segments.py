# SPDX-License-Identifier: Apache-2.0
"""Refusals of segments, by name: the kernel's error and the text."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "SegmentNotFound": (NotFound, "Segment {id} could not be found."),
    "SegmentsSetInConjunctionWithProviders": (Invalid, "Segments and provider values cannot both be set."),
    "SegmentsContainDuplicateEntry": (Invalid, "Duplicate segment entry in request."),
    "VlanIdInUse": (
        Conflict,
        "Unable to create the network. The VLAN {number} on physical network {physical} is in use.",
    ),
    "NetworkSegmentRangeNotFound": (NotFound, "Network Segment Range {id} could not be found."),
    "NetworkSegmentRangeNetTypeNotSupported": (
        Invalid,
        "Network type {type} does not support network segment ranges.",
    ),
    "NetworkSegmentRangeReferencedByProject": (
        Conflict,
        "Network Segment Range {id} is referenced by one or more project networks.",
    ),
    "NetworkSegmentRangeDefaultReadOnly": (
        Invalid,
        "Network Segment Range {id} is a default segment range which could not be updated or deleted.",
    ),
    "NetworkSegmentRangeOverlaps": (Conflict, "Network segment range overlaps with range(s) with id {ids}"),
    "NetworkTunnelRangeError": (Invalid, "Invalid network tunnel range: '{first}:{last}' - {error}."),
    "NetworkVlanRangeError": (Invalid, "Invalid network VLAN range: '{first}:{last}' - '{error}'."),
    "VlanTransparencyDriverError": (Invalid, "Backend does not support VLAN Transparency."),
    "VlanQinqDriverError": (Invalid, "Backend does not support VLAN QinQ."),
    "SegmentInUse": (Conflict, "Segment '{id}' cannot be deleted: {reason}."),
    "SubnetsNotAllAssociatedWithSegments": (
        Invalid,
        (
            "All of the subnets on network '{id}' must either all be associated with segments or all not associated "
            "with any segment."
        ),
    ),
    "SubnetSegmentAssociationChangeNotAllowed": (
        Invalid,
        "A subnet that is already associated with a segment cannot have its segment association changed.",
    ),
    "NoUpdateSubnetWhenMultipleSegmentsOnNetwork": (
        Invalid,
        (
            "The network '{id}' has multiple segments, it is only possible to associate an existing subnet with a "
            "segment on networks with a single segment."
        ),
    ),
    "NetworkIdsDontMatch": (
        Invalid,
        "The subnet's network id, '{network}', doesn't match the network_id of segment '{segment}'",
    ),
    "HostNotConnectedToAnySegment": (
        Conflict,
        (
            "Host {host} is not connected to any segments on routed provider network '{id}'.  It should be connected "
            "to one."
        ),
    ),
    "HostNotCompatibleWithFixedIps": (
        Conflict,
        (
            "Host {host} is not connected to a segment where the existing fixed_ips on port {id} will function given "
            "the routed network topology."
        ),
    ),
    "FixedIpsSubnetsNotOnSameSegment": (Invalid, "Cannot allocate addresses from different segments."),
}
