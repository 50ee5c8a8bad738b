# SPDX-License-Identifier: Apache-2.0
"""All scenarios, in the order in which they are run and reported."""

from __future__ import annotations

from bench.scenarios.base import Scenario, Watch
from bench.scenarios.changes import FiftyServers, FullHost, PortCreate, PortDelete, ServerCreate, VolumeCreate
from bench.scenarios.networks import FloatingIp, HundredPorts, PortPage, Ports, PortShow, RouterCreate, RuleCreate
from bench.scenarios.reads import (
    Candidates,
    CandidatesOf1000,
    CandidatesOf10000,
    CandidatesOf100000,
    FlavorList,
    ImageList,
    LastCandidate,
    NetworkList,
    PortList,
    ServerList,
    ServerListBrief,
    ServerShow,
    TokenByCredential,
    TokenByToken,
    TokenIssue,
    TokenValidate,
)
from bench.scenarios.volumes import (
    SnapshotCreate,
    SnapshotDelete,
    VolumeAttach,
    VolumeClone,
    VolumeDelete,
    VolumeDetach,
    VolumeExtend,
    VolumeFromSnapshot,
    VolumeList,
    VolumeShow,
)

__all__ = ["ALL", "Scenario", "Watch"]

ALL: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        TokenIssue,
        TokenByToken,
        TokenByCredential,
        TokenValidate,
        ImageList,
        FlavorList,
        NetworkList,
        PortCreate,
        PortDelete,
        PortShow,
        HundredPorts,
        Ports,
        PortPage,
        RouterCreate,
        FloatingIp,
        RuleCreate,
        VolumeCreate,
        VolumeClone,
        VolumeFromSnapshot,
        VolumeDelete,
        VolumeExtend,
        SnapshotCreate,
        SnapshotDelete,
        VolumeAttach,
        VolumeDetach,
        VolumeList,
        VolumeShow,
        ServerList,
        ServerListBrief,
        ServerShow,
        PortList,
        Candidates,
        CandidatesOf1000,
        CandidatesOf10000,
        CandidatesOf100000,
        LastCandidate,
        ServerCreate,
        FullHost,
        FiftyServers,
    )
}
