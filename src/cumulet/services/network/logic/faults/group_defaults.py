# SPDX-License-Identifier: Apache-2.0
"""Refusals of what new security groups are made of, by name: the kernel's error and the text."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "DefaultSecurityGroupRuleNotFound": (NotFound, "Default Security Group rule {id} does not exist"),
    "DefaultSecurityGroupRuleExists": (Conflict, "Default Security group rule already exists. Rule id is {id}."),
    "SecurityGroupDefaultStatefulnessNotFound": (
        NotFound,
        "Security group default statefulness {id} could not be found.",
    ),
    "SecurityGroupDefaultStatefulnessAlreadyExists": (
        Conflict,
        "A security group default statefulness setting already exists for project '{project_id}'.",
    ),
}
