# SPDX-License-Identifier: Apache-2.0
"""Refusals of QoS policies and rules."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid, NotFound, Unsupported

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "QosPolicyNotFound": (NotFound, "QoS policy {id} could not be found."),
    "QosRuleNotFound": (NotFound, "QoS rule {id} for policy {parent} could not be found."),
    "QoSPolicyDefaultAlreadyExists": (Conflict, "A default QoS policy exists for project {project_id}."),
    "QosPolicyInUse": (Conflict, "QoS Policy {id} is used by {object_type} {object_id}."),
    "QosRuleNotSupported": (Conflict, "Rule {rule_type} is not supported by port {port_id}"),
    "QosRuleNotSupportedByNetwork": (Conflict, "Rule {rule_type} is not supported by network {network_id}"),
    "QoSRuleParameterConflict": (
        Conflict,
        (
            "Unable to add the rule with value {rule_value} to the policy {policy_id} as the existing rule of type "
            "{existing_rule} has value {existing_value}."
        ),
    ),
    "QoSRulesConflict": (
        Conflict,
        "Rule {new_rule_type} conflicts with rule {rule_id} which already exists in QoS Policy {policy_id}.",
    ),
    "PolicyRemoveAuthorizationError": (
        Forbidden,
        "Failed to remove provided policy {policy_id} because you are not authorized.",
    ),
    "QosPlacementAllocationUpdateConflict": (
        Conflict,
        (
            "Updating placement allocation with {alloc_diff} for consumer {consumer} failed. The requested resources "
            "would exceed the capacity available."
        ),
    ),
    "PlacementAllocationRemoved": (Invalid, "Resource allocation is deleted for consumer {consumer}"),
    "PlacementAllocationRpNotExists": (
        Invalid,
        "Resource provider {resource_provider} for {consumer} does not exist",
    ),
    # Neutron has no name of its own for it.
    "NotImplementedError": (Unsupported, "Cannot update QoS policies/rules backed by resources tracked in Placement"),
}
