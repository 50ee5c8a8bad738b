# SPDX-License-Identifier: Apache-2.0
"""Encrypted images: the key goes with the image, where the words on it say so."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError
from cumulet.services.key_manager.contract import KeyManagerContract

LOG = logging.getLogger(__name__)

WITH_IMAGE = "on_image_deletion"
# The words that name a key, and those that say when it goes: of images of encrypted volumes, and of encrypted images.
_KEYS = (
    ("cinder_encryption_key_id", "cinder_encryption_key_deletion_policy"),
    ("os_encrypt_key_id", "os_encrypt_key_deletion_policy"),
)


def delete_keys(cloud: Cloud, tx: Tx, ctx: Context, words: Mapping[str, str]) -> None:
    """Delete the keys that are to go with an image with these words, as far as the caller may."""
    for key, policy in _KEYS:
        if key in words and words.get(policy) == WITH_IMAGE:
            try:
                cloud.contracts.use(KeyManagerContract).delete_as(tx, ctx, words[key])
            except CumuletError as error:
                LOG.warning("encryption key %s stays: %s", words[key], error.message)
