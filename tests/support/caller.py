# SPDX-License-Identifier: Apache-2.0
"""A caller of a running cloud's API with one token: JSON there and back."""

from __future__ import annotations

import http.client
import json
from typing import Any


class Caller:
    """Calls `path` (with the service's root: `/compute/v2.1/servers`) on the control plane at `port`."""

    def __init__(self, port: int, token: str, headers: dict[str, str] | None = None) -> None:
        self._port = port
        self._headers = {"x-auth-token": token, "content-type": "application/json", **(headers or {})}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the body, parsed."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The body of an answer that must be good."""
        status, answer = self.ask(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer
