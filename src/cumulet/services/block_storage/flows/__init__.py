# SPDX-License-Identifier: Apache-2.0
"""The slow actions of the block storage service: one module each."""

from cumulet.services.block_storage.flows import create, delete, delete_snapshot, extend, snapshot, upload

FLOWS = (create.FLOW, delete.FLOW, extend.FLOW, snapshot.FLOW, delete_snapshot.FLOW, upload.FLOW)
