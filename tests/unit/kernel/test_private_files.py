# SPDX-License-Identifier: Apache-2.0
"""Files for their owner alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cumulet.kernel.secrets import write_private


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    texts = [str(number) * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_private(path, text), texts * 5))
    assert path.read_text() in texts
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
