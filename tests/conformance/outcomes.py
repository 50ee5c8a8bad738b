# SPDX-License-Identifier: Apache-2.0
"""Turns a subunit stream on stdin into JSON on stdout; run by the Python that Tempest is installed in."""

from __future__ import annotations

import json
import sys

import subunit
import testtools

ENDINGS = {"success": "passed", "fail": "failed", "skip": "skipped", "xfail": "passed", "uxsuccess": "failed"}


def main() -> None:
    found = []

    def one(test: dict) -> None:
        name = test["id"].partition("[")[0]
        if test["status"] not in ENDINGS:
            return
        if name.startswith(("setUpClass", "tearDownClass")) and test["status"] != "fail":
            return
        begin, end = test["timestamps"]
        details = test["details"]
        reason = details["reason"].as_text() if "reason" in details else ""
        if test["status"] == "fail":
            reason = next((text.as_text() for name, text in details.items() if "traceback" in name), "")[-1500:]
        seconds = (end - begin).total_seconds() if begin and end else 0.0
        outcome = {"id": name, "status": ENDINGS[test["status"]], "seconds": round(seconds, 1), "reason": reason}
        found.append(outcome)

    result = testtools.StreamToDict(one)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(sys.stdin.buffer).run(result)
    result.stopTestRun()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
