# SPDX-License-Identifier: Apache-2.0
"""Turns a subunit stream on stdin into a line of JSON for each test as it ends; run by Tempest's own Python.

A line: {"id", "status": passed|failed|skipped, "seconds", "reason"}. Where the set-up of a whole class failed or was
skipped, `id` is the class with `.*` behind it.
"""

from __future__ import annotations

import json
import re
import sys

import subunit
import testtools

ENDINGS = {"success": "passed", "fail": "failed", "skip": "skipped", "xfail": "passed", "uxsuccess": "failed"}
CLASS = re.compile(r"(setUpClass|tearDownClass) \((.+)\)")
ATTRIBUTES = re.compile(r"\[[^]]*\]")
KEPT = 3000  # characters of a traceback


def outcome(test: dict) -> dict | None:
    """One test's outcome; None for what is no test's end."""
    name = ATTRIBUTES.sub("", test["id"])
    status = ENDINGS.get(test["status"])
    whole = CLASS.fullmatch(name)
    if status is None or (whole and status == "passed"):
        return None
    begin, end = test["timestamps"]
    details = test["details"]
    reason = details["reason"].as_text() if "reason" in details else ""
    if status == "failed":
        reason = next((text.as_text() for name, text in details.items() if "traceback" in name), "")[-KEPT:]
    seconds = (end - begin).total_seconds() if begin and end else 0.0
    shown = f"{whole[2]}.*" if whole else name
    return {"id": shown, "status": status, "seconds": round(seconds, 1), "reason": reason}


def main() -> None:
    """Print as it comes."""

    def one(test: dict) -> None:
        if found := outcome(test):
            print(json.dumps(found), flush=True)

    result = testtools.StreamToDict(one)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="noise").run(result)
    result.stopTestRun()


if __name__ == "__main__":
    main()
