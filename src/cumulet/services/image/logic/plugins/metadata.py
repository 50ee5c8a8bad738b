# SPDX-License-Identifier: Apache-2.0
"""The plug-in `inject_image_metadata`: words of the operator's on the images of ordinary users."""

from __future__ import annotations

from cumulet.services.image.contract import Outcome, Work


def inject(work: Work) -> Outcome:
    """The words of the setting, unless the user has a role that is spared them."""
    if work.roles & set(work.settings.image_import.ignore_user_roles):
        return Outcome()
    pairs = (said.partition(":") for said in work.settings.image_import.inject)
    return Outcome(properties={name.strip(): value.strip() for name, _, value in pairs})
