# SPDX-License-Identifier: Apache-2.0
"""Refusals of what every cloud has, by name: the kernel's error and the text."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid, NotFound, NotReady, Precondition

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "NetworkNotFound": (NotFound, "Network {id} could not be found."),
    "SubnetNotFound": (NotFound, "Subnet {id} could not be found."),
    "SubnetPoolNotFound": (NotFound, "Subnet pool {id} could not be found."),
    "PortNotFound": (NotFound, "Port {id} could not be found."),
    "RouterNotFound": (NotFound, "Router {id} could not be found"),
    "FloatingIPNotFound": (NotFound, "Floating IP {id} could not be found"),
    "SecurityGroupNotFound": (NotFound, "Security group {id} does not exist"),
    "SecurityGroupRuleNotFound": (NotFound, "Security group rule {id} does not exist"),
    "AgentNotFound": (NotFound, "Agent {id} could not be found."),
    "TagNotFound": (NotFound, "Tag {tag} could not be found."),
    "InvalidInput": (Invalid, "Invalid input for operation: {error_message}."),
    "BadRequest": (Invalid, "Bad {resource} request: {msg}."),
    "OverQuota": (Conflict, "Quota exceeded for resources: {overs}."),
    "QuotaResourceUnknown": (NotFound, "Unknown quota resources {unknown}."),
    "NetworkInUse": (Conflict, "Unable to complete operation on network {id}. {reason}."),
    "NetworkMTUSubnetConflict": (Conflict, "MTU of {id} is not valid, subnet requires a minimum of {mtu}."),
    "SubnetInUse": (Conflict, "Unable to complete operation on subnet {id}: {reason}."),
    "PortInUse": (
        Conflict,
        (
            "Unable to complete operation on port {id} for network {network_id}. "
            "Port already has an attached device {device_id}."
        ),
    ),
    "ServicePortInUse": (Conflict, "Port {id} cannot be deleted directly via the port API: {reason}."),
    "UnsupportedPortDeviceOwner": (
        Conflict,
        "Operation {op} is not supported for device_owner {owner} on port {id}.",
    ),
    "PortBound": (
        Conflict,
        (
            "Unable to complete operation on port {id}, port is already bound, port type: {vif_type}, "
            "old_mac {old_mac}, new_mac {new_mac}."
        ),
    ),
    "MacAddressInUse": (Conflict, "Unable to complete operation for network {id}. The mac address {mac} is in use."),
    "IpAddressInUse": (Conflict, "Unable to complete operation for network {id}. The IP address {address} is in use."),
    "IpAddressAlreadyAllocated": (Conflict, "IP address {address} already allocated in subnet {subnet_id}"),
    "IpAddressGenerationFailure": (Conflict, "No more IP addresses available on network {id}."),
    "IpAddressGenerationFailureNoMatchingSubnet": (
        Conflict,
        "No valid service subnet for the given device owner, network {id}, service type {owner}.",
    ),
    "InvalidIpForNetwork": (
        Invalid,
        "IP address {address} is not a valid IP for any of the subnets on the specified network.",
    ),
    "AllocationOnAutoAddressSubnet": (
        Invalid,
        (
            "IPv6 address {ip} cannot be directly assigned to a port on subnet {subnet_id} as the subnet is configured "
            "for automatic addresses"
        ),
    ),
    "InvalidIpForSubnet": (Invalid, "IP address {address} is not a valid IP for the specified subnet."),
    "ExternalIpAddressExhausted": (Invalid, "Unable to find any IP address on external network {id}."),
    "FlatNetworkInUse": (Conflict, "Unable to create the flat network. Physical network {physical} is in use."),
    "TunnelIdInUse": (Conflict, "Unable to create the network. The tunnel ID {segment} is in use."),
    "NoNetworkAvailable": (
        NotReady,
        "Unable to create the network. No project network is available for allocation.",
    ),
    "InvalidSharedSetting": (
        Conflict,
        "Unable to reconfigure sharing settings for network {network}. Multiple projects are using it.",
    ),
    "ExternalNetworkInUse": (
        Conflict,
        "External network {id} cannot be updated to be made non-external, since it has existing gateway ports.",
    ),
    "EmptySubnetPoolPrefixList": (Invalid, "Empty subnet pool prefix list."),
    "PrefixVersionMismatch": (Invalid, "Cannot mix IPv4 and IPv6 prefixes in a subnet pool."),
    "IllegalSubnetPoolPrefixBounds": (
        Invalid,
        "Illegal prefix bounds: {prefix_type}={prefixlen}, {base_prefix_type}={base_prefixlen}.",
    ),
    "IllegalSubnetPoolPrefixUpdate": (Invalid, "Illegal update to prefixes: {msg}."),
    "IllegalSubnetPoolUpdate": (Invalid, "Illegal subnetpool update : {reason}."),
    "SubnetPoolDeleteError": (Invalid, "Unable to delete subnet pool: {reason}."),
    "SubnetPoolQuotaExceeded": (Conflict, "Per-project subnet pool prefix quota exceeded."),
    "SubnetAllocationError": (Conflict, "Failed to allocate subnet: {reason}."),
    "MinPrefixSubnetAllocationError": (
        Invalid,
        "Unable to allocate subnet with prefix length {prefixlen}, minimum allowed prefix is {min_prefixlen}.",
    ),
    "MaxPrefixSubnetAllocationError": (
        Invalid,
        "Unable to allocate subnet with prefix length {prefixlen}, maximum allowed prefix is {max_prefixlen}.",
    ),
    "NetworkSubnetPoolAffinityError": (
        Invalid,
        "Subnets hosted on the same network must be allocated from the same subnet pool.",
    ),
    "InvalidAllocationPool": (Invalid, "The allocation pool {pool} is not valid."),
    "OverlappingAllocationPools": (
        Conflict,
        "Found overlapping allocation pools: {pool_1} {pool_2} for subnet {cidr}.",
    ),
    "OutOfBoundsAllocationPool": (Invalid, "The allocation pool {pool} spans beyond the subnet cidr {cidr}."),
    "GatewayConflictWithAllocationPools": (Conflict, "Gateway ip {address} conflicts with allocation pool {pool}."),
    "GatewayIpInUse": (Conflict, "Current gateway ip {address} already in use by port {port_id}. Unable to update."),
    "DNSNameServersExhausted": (
        Invalid,
        "Unable to complete operation for {id}. The number of DNS nameservers exceeds the limit {quota}.",
    ),
    "HostRoutesExhausted": (
        Invalid,
        "Unable to complete operation for {id}. The number of host routes exceeds the limit {quota}.",
    ),
    "PortSecurityPortHasSecurityGroup": (
        Conflict,
        (
            "Port has security group associated. Cannot disable port security or IP address until security group "
            "is removed."
        ),
    ),
    "PortSecurityAndIPRequiredForSecurityGroups": (
        Invalid,
        "Port security must be enabled and port must have an IP address in order to use security groups.",
    ),
    "AddressPairAndPortSecurityRequired": (
        Conflict,
        "Port Security must be enabled in order to have allowed address pairs on a port.",
    ),
    "AllowedAddressPairsMissingIP": (Invalid, "AllowedAddressPair must contain ip_address"),
    "DuplicateAddressPairInRequest": (
        Invalid,
        "Request contains duplicate address pair: mac_address {mac} ip_address {address}.",
    ),
    "AllowedAddressPairExhausted": (Invalid, "The number of allowed address pair exceeds the maximum {quota}."),
    "RouterInUse": (Conflict, "Router {id} {reason}"),
    "RouterInterfaceNotFound": (NotFound, "Router {id} does not have an interface with id {port_id}"),
    "RouterInterfaceNotFoundForSubnet": (NotFound, "Router {id} has no interface on subnet {subnet_id}"),
    "RouterInterfaceInUseByFloatingIP": (
        Conflict,
        (
            "Router interface for subnet {subnet_id} on router {id} cannot be deleted, as it is required by one or "
            "more floating IPs."
        ),
    ),
    "RouterInterfaceInUseByRoute": (
        Conflict,
        (
            "Router interface for subnet {subnet_id} on router {id} cannot be deleted, as it is required by one or "
            "more routes."
        ),
    ),
    "RouterExternalGatewayInUseByFloatingIp": (
        Conflict,
        (
            "Gateway cannot be updated for router {id}, since a gateway to external network {network_id} is required "
            "by one or more floating IPs."
        ),
    ),
    "InvalidRoutes": (Invalid, "Invalid format for routes: {routes}, {reason}"),
    "SubnetMismatchForPort": (Invalid, "Subnet on port {id} does not match the requested subnet {subnet_id}."),
    "ExternalGatewayForFloatingIPNotFound": (
        NotFound,
        (
            "External network {network_id} is not reachable from subnet {subnet_id}.  Therefore, cannot associate Port "
            "{port_id} with a Floating IP."
        ),
    ),
    "FloatingIPPortAlreadyAssociated": (
        Conflict,
        (
            "Cannot associate floating IP {address} ({id}) with port {port_id} using fixed IP {fixed}, as that fixed "
            "IP already has a floating IP on external network {network_id}."
        ),
    ),
    "SecurityGroupInUse": (Conflict, "Security Group {id} in use."),
    "SecurityGroupConflict": (Conflict, "Error {reason} while attempting the operation."),
    "SecurityGroupCannotRemoveDefault": (Conflict, "Insufficient rights for removing default security group."),
    "SecurityGroupCannotUpdateDefault": (Conflict, "Updating default security group not allowed."),
    "SecurityGroupDefaultAlreadyExists": (Conflict, "Default security group already exists."),
    "SecurityGroupRuleExists": (Conflict, "Security group rule already exists. Rule id is {id}."),
    "DuplicateSecurityGroupRuleInPost": (Conflict, "Duplicate Security Group Rule in POST."),
    "SecurityGroupRulesNotSingleProject": (
        Invalid,
        "Multiple project_ids in bulk security group rule create not allowed",
    ),
    "SecurityGroupNotSingleGroupRules": (Invalid, "Only allowed to update rules for one security profile at a time"),
    "SecurityGroupMultipleRemoteEntites": (
        Invalid,
        "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
    ),
    "SecurityGroupProtocolRequiredWithPorts": (Invalid, "Must also specify protocol if port range is given."),
    "SecurityGroupInvalidPortRange": (Invalid, "For TCP/UDP protocols, port_range_min must be <= port_range_max"),
    "SecurityGroupInvalidPortValue": (Invalid, "Invalid value for port {port}"),
    "SecurityGroupInvalidIcmpValue": (
        Invalid,
        "Invalid value for ICMP {field} ({attr}) {value}. It must be 0 to 255.",
    ),
    "SecurityGroupMissingIcmpType": (
        Invalid,
        "ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing.",
    ),
    "SecurityGroupInvalidProtocolForPort": (
        Invalid,
        "Ports cannot be specified for protocol {protocol}. Ports are only supported for {valid}.",
    ),
    "SecurityGroupEthertypeConflictWithProtocol": (Invalid, "Invalid ethertype {ethertype} for protocol {protocol}."),
    "SecurityGroupRuleInvalidEtherType": (
        Invalid,
        "Security group rule for ethertype '{ethertype}' not supported. Allowed values are ['IPv4', 'IPv6'].",
    ),
    "TenantQuotaNotFound": (NotFound, "Quota for project {id} could not be found."),
    "SecurityGroupRuleInvalidProtocol": (
        Invalid,
        (
            "Security group rule protocol {protocol} not supported. Only protocol values {values} and integer "
            "representations [0 to 255] are supported."
        ),
    ),
    "SecurityGroupRuleParameterConflict": (Invalid, "Conflicting value ethertype {ethertype} for CIDR {cidr}"),
    "InvalidCIDR": (Invalid, "Invalid CIDR {input} given as IP prefix."),
    "NotAuthorized": (Forbidden, "Not authorized."),
    "AdminRequired": (Forbidden, "User does not have admin privileges: {reason}."),
    "RevisionNumberConstraintFailed": (
        Precondition,
        "Constrained to {expected}, but current revision is {current}",
    ),
    "DeviceIDNotOwnedByProject": (
        Conflict,
        "The following device_id {device_id} is not owned by your project or matches another project router.",
    ),
}
