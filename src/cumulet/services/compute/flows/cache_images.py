# SPDX-License-Identifier: Apache-2.0
"""Let a host fetch images before anybody needs them there. What cannot be fetched is passed over."""

from __future__ import annotations

import logging

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.image.contract import ImageContract

LOG = logging.getLogger(__name__)


def fetch(run: Run) -> Commit:
    images, host = run.cloud.contracts.use(ImageContract), run.args["host"]
    for image_id in run.args["images"]:
        try:
            images.prefetch(host, image_id)
        except CumuletError as error:  # also a host that is away: it fetches at first use, as without this
            LOG.info("host %s does not keep image %s at hand: %s", host, image_id, error.message)
    return lambda _tx: None


FLOW = Flow("compute.cache_images", (Step("fetch", fetch),))
