# SPDX-License-Identifier: Apache-2.0
"""One process that has loaded all code, and forks an agent for each death: run as a program.

It takes a line of JSON on stdin for each run, `{"story", "place", "victim", "goal"}`, and answers with one. Without a
place nobody dies: what is there then is what every other run of the story has to come to, its goal. Else, when the
agent comes by the place, the victim is killed and the verb asked again, of the next agent where that was the victim:

    agent     the agent itself
    given-up  the agent, and the next one is asked for the way back, and only then for the verb
    held      the agent, and the program that it has just started stands still until the next agent is about to be done
    worker    the program that it has just started (qemu-img)
    exporter  qemu-storage-daemon or tgtd
    qemu      the server's
    control   the control plane, which does not answer the question
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from cumulet.kernel.errors import CumuletError, NotReady
from kills.host_machine import RealHost, end_all, processes_of, put
from kills.host_places import AFTER, Places
from kills.host_stories import NAMES, STORED, STORIES, A, B, Story, file_of
from kills.host_syncs import unsafe
from support.certificates import Authority
from support.syncs import openers
from support.waiting import until

PATIENCE = 90  # seconds for one run
CALM = 8.0  # seconds until what is there is what stays
AGAIN = 40.0  # seconds within which a verb that is asked again must have its end
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
AUTHORITY = Authority()


class Run:
    """One death, in processes of their own below `folder`."""

    def __init__(self, folder: Path, story: Story, place: str, victim: str, goal: dict[str, Any] | None) -> None:
        self.folder, self.story, self.place, self.victim, self._goal = folder, story, place, victim, goal
        self.told: dict[str, Any] = {}
        self.came_by = self._refuses = False
        self._held = 0
        # Nobody else takes the ports of this address while an exporter is dead.
        self._address = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.{random.randrange(1, 255)}"

    def outcome(self) -> dict[str, Any]:
        """What came of it: `seen` in the end, `places` for one in which nobody dies, `wrong` words."""
        first = self._fork(self._die)
        if first == 0 or not self.told.get("died"):
            return self.told
        if first != -signal.SIGKILL:
            return {"wrong": [f"the agent ended with {first}: {self._log()}"]}
        second = self._fork(self._live_on)
        if second != 0:
            return {"wrong": [f"the next agent ended with {second}: {self._log()}"]}
        return self.told

    def _fork(self, work: Any) -> int:
        notes = self.folder / "notes"
        pid = os.fork()
        if not pid:
            code = 1
            try:
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.alarm(PATIENCE)
                log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(log, 1)
                os.dup2(log, 2)
                logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                self._note()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if notes.exists():
            self.told = json.loads(notes.read_text())
        code = os.waitstatus_to_exitcode(status)
        if code and code != -signal.SIGKILL:
            self.told = {"wrong": [f"ended with {code}: {self._log()}"]}
        return code

    def _note(self) -> None:
        (self.folder / "notes").write_text(json.dumps(self.told, default=str))

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]

    # -- in the agent's process --------------------------------------------------------------------------------------

    def _hosts(self) -> RealHost:
        """The host that is asked; its peer is another one, where there is one."""
        near = RealHost("near", self.folder, AUTHORITY, self._address, servers=self.story.servers)
        near.begin()
        if not self.story.far:
            return near
        far = RealHost("far", self.folder, AUTHORITY, self._address, servers=False)
        far.begin()
        far.peer = near  # type: ignore[attr-defined]
        return far

    def _die(self) -> None:
        host = self._hosts()
        near: RealHost = getattr(host, "peer", host)
        for work in self.story.prepare:
            if (problem := self._until_ready(lambda work=work: work(near))) is not None:
                raise problem
        body = self.story.body(host)
        host.leave()
        host.begin()
        before = self._sights(host)
        self.told["before"] = before
        places = Places(host.state, NAMES, lambda place: self._arrive(place, host, places))
        host.asked = self._asking(places)
        with places.look():
            problem = self._ask(host, body)
            while self.place and not self.came_by and isinstance(problem, NotReady):  # as flows do
                problem = self._ask(host, body)
            self._arrive(f"the verb:{AFTER}", host, places)
        if not self.place:
            if problem is not None:
                raise AssertionError(f"nobody died, and yet: {problem!r}") from problem
            self.told["places"] = [*places.places, f"the verb:{AFTER}"]
            self.told["kinds"] = {event.name: event.kind for event in places.events}
            self.told["unsafe"] = unsafe(places.events, host.state, lambda path: bool(openers(path)))
            self.told["openers"] = [kind for kind in ("exporter", "qemu") if near.openers(kind)]
        elif not self.came_by:
            self.told["missed"] = True
        self._end(host, body, before, problem)

    def _live_on(self) -> None:
        self.told.pop("died")
        self.told["wrong"] = []
        if self.victim == "held":
            self._held = int(self.told.pop("held"))
            Places(self.folder, NAMES, lambda place: place.startswith("rename") and self._let_go()).looking = True
        host = self._hosts()
        body = self.story.body(host)
        if self.victim == "given-up":
            self._turn_back(host, self.told["before"], "it was given up")
        self._end(host, body, self.told["before"], None)

    def _asking(self, places: Places) -> Any:
        @contextlib.contextmanager
        def asking(verb: str) -> Iterator[None]:
            with places.around("ask", (verb,), f"ask {verb}"):
                if self._refuses:
                    self._refuses = False
                    raise NotReady("there is no link to the control plane", code="LinkLost")
                yield

        return asking

    def _arrive(self, place: str, host: RealHost, places: Places) -> None:
        if place != self.place or self.came_by:
            return
        self.came_by = True
        if self.victim == "control":
            self._refuses = True
        elif self.victim == "worker":
            places.children[-1].kill()
        elif self.victim in ("agent", "given-up", "held"):
            self.told["died"] = True
            if self.victim == "held":
                self.told["held"] = places.children[-1].pid
                os.kill(places.children[-1].pid, signal.SIGSTOP)
            self._note()
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            near: RealHost = getattr(host, "peer", host)
            for pid in near.openers(self.victim):
                os.kill(pid, signal.SIGKILL)

    def _let_go(self) -> None:
        """Let the program go on: the next agent puts what it has made into its place, or has nothing to put."""
        held, self._held = self._held, 0
        if held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(held, signal.SIGCONT)
            until(lambda: not _lives(held), 20)

    # -- afterwards --------------------------------------------------------------------------------------------------

    def _ask(self, host: RealHost, body: dict[str, Any]) -> Exception | None:
        try:
            host.ask(self.story.verb, **body)
        except Exception as error:
            return error
        return None

    def _end(self, host: RealHost, body: dict[str, Any], before: Any, problem: Exception | None) -> None:
        """Ask again until it is done, come to rest, look, and take everything away."""
        wrong = self.told.setdefault("wrong", [])
        for _ in range(2 if self.place else 0):
            if _is_refusal(problem):
                self._turn_back(host, before, problem)
            problem = self._again(host, body)
            if not _is_refusal(problem):
                break
        if self.place and problem is not None:
            wrong.append(f"it has not reached its goal: {problem!r}")
        if self.victim == "held":
            self._let_go()
            host.leave()  # what it has made by itself goes at the next start
            host.begin()
        self._start_what_is_off(host)
        self.told["seen"] = self._rested(host, self._goal, self.story.secret)
        self._come_late(host, body)
        self._clean(host)

    def _turn_back(self, host: RealHost, before: Any, problem: Exception | str | None) -> None:
        """It was refused for good, or given up: a flow would turn back now."""
        if self.story.undo is None:
            return
        last = self._until_ready(lambda: self.story.undo(host))  # type: ignore[misc]
        if last is not None:
            self.told["wrong"].append(f"after {problem!r} there is no way back: {last!r}")
        self._start_what_is_off(host)
        hidden = (*self.story.secret, *self.story.spoilt)
        seen = self._rested(host, before, hidden)
        if self._goal is not None and not differences(self._goal, seen, self.story.secret):
            return  # there was no way back any more, and a flow is told so
        self.told["wrong"] += [f"on the way back, {each}" for each in differences(before, seen, hidden)]

    def _again(self, host: RealHost, body: dict[str, Any]) -> Exception | None:
        return self._until_ready(lambda: host.ask(self.story.verb, **body))

    def _until_ready(self, work: Any) -> Exception | None:
        end = time.monotonic() + AGAIN
        while True:
            try:
                work()
            except NotReady as error:
                if time.monotonic() > end:
                    return error
                time.sleep(0.05)
            except Exception as error:
                return error
            else:
                return None

    def _start_what_is_off(self, host: RealHost) -> None:
        """Servers whose QEMU was the victim are started by their users."""
        if self.victim != "qemu":
            return
        for key in host.off():
            problem = self._until_ready(lambda key=key: host.ask("server.start", id=key))
            if problem is not None:
                self.told["wrong"].append(f"the server does not start again: {problem!r}")

    def _sights(self, host: RealHost) -> dict[str, Any]:
        seen = host.sights()
        if self.story.far:
            seen |= {f"near: {name}": each for name, each in host.peer.sights().items()}  # type: ignore[attr-defined]
        found: dict[str, Any] = json.loads(json.dumps(seen, default=str))
        return found

    def _rested(self, host: RealHost, wanted: Any, hidden: Sequence[str]) -> dict[str, Any]:
        """What is there in the end: what is wanted (None: what stays), or what there is some seconds later."""
        last, end = self._sights(host), time.monotonic() + CALM
        while time.monotonic() < end:
            if wanted is not None and not differences(wanted, last, hidden):
                break
            time.sleep(0.1)
            before, last = last, self._sights(host)
            if wanted is None and "gone" not in last.values() and before == last:
                break
        return last

    def _come_late(self, host: RealHost, body: dict[str, Any]) -> None:
        """The order comes once more, when its volume is another's already: it must not touch what was written."""
        if not self.story.later:
            problem = self._again(host, body)
            seen = self._sights(host)
        else:
            self._until_ready(lambda: put(file_of(host, self.story.later), b"written later", 3 << 20))
            wanted = self._sights(host)
            problem = self._again(host, body)
            self.told["wrong"] += [f"a late order: {each}" for each in differences(wanted, self._sights(host), ())]
            return
        if problem is not None:
            self.told["wrong"].append(f"asked once more: {problem!r}")
        self.told["wrong"] += [
            f"asked once more: {each}" for each in differences(self.told["seen"], seen, self.story.secret)
        ]

    def _clean(self, host: RealHost) -> None:
        """Delete everything: what is left is a leak."""
        for each in [host, *([host.peer] if self.story.far else [])]:  # type: ignore[attr-defined]
            problem = self._until_ready(lambda each=each: _delete_all(each))
            if problem is not None:
                self.told["wrong"].append(f"it cannot be deleted: {problem!r}")
            left = [name for name in each.sights() if name.startswith(("file", "openers", "monitor"))]
            with contextlib.suppress(AssertionError):
                until(lambda each=each: not each.processes(), 5)
            left += [f"process {word}" for word, _ in each.processes()]
            left += [f"record {path.parent.name}" for path in each.state.rglob("export.json")]
            self.told["wrong"] += [f"after everything was deleted: {name}" for name in left]
            each.leave()


def differences(wanted: dict[str, Any], seen: dict[str, Any], hidden: Sequence[str]) -> list[str]:
    """In words; of volumes that are `hidden` the content is not compared."""
    found = []
    for name in sorted(wanted.keys() | seen.keys()):
        have, want = seen.get(name, "nothing"), wanted.get(name, "nothing")
        if any(key in name for key in hidden):
            have, want = str(have).split()[0], str(want).split()[0]
        if have != want:
            found.append(f"{name} is {have}, and not {want}")
    return found


def _delete_all(host: RealHost) -> None:
    if host.servers:
        for key in host.ask("server.report")["servers"]:
            host.ask("server.destroy", id=key)
    report = host.ask("volume.report")
    for key in report["exports"]:
        for generation in (1, 2, 99):
            host.ask("volume.unexport", id=key, generation=generation)
    for key in report["restores"]:
        host.ask("backup.drop_restore", id=key, operation="dropped")
    for backend in report["backends"]:
        for key in {*backend["volumes"], A, B}:
            host.ask("volume.delete", id=key, backend=backend["name"])
        for key in backend["snapshots"]:
            host.ask("volume.delete_snapshot", id=key, backend=backend["name"])
    for name in ("one", "zero"):
        host.ask("backup.delete", **{**STORED, "name": name})
    for folder in host.state.glob("block_storage/**/adoption/*"):
        for path in folder.glob("[!.]*"):
            path.unlink()


def _is_refusal(problem: Exception | None) -> bool:
    """Whether a flow that is told so turns back."""
    return isinstance(problem, CumuletError) and not isinstance(problem, NotReady)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def run(order: dict[str, Any], base: Path) -> dict[str, Any]:
    """Carry out one run; its folder and its processes are gone afterwards."""
    story = STORIES[order["story"]]
    folder = Path(tempfile.mkdtemp(dir=base))
    try:
        began = time.monotonic()
        goal = order.get("goal")
        made = Run(folder, story, order.get("place", ""), order.get("victim", ""), goal)
        told = made.outcome()
        if goal is not None and "seen" in told:
            told["wrong"] += [f"in the end, {each}" for each in differences(goal, told["seen"], story.secret)]
        told["took"] = time.monotonic() - began
        if told.get("wrong"):
            told["log"] = made._log()
        return told
    finally:
        while processes_of(folder):
            end_all(folder)
            time.sleep(0.01)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started goes with it
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for name in ("drivers.file", "drivers.iscsi", "drivers.nbd"):
        __import__(f"cumulet.services.block_storage.{name}")
    for name in ("compute.drivers.qemu.driver", "image.contract"):
        __import__(f"cumulet.services.{name}")
    __import__("cumulet.kernel.link.certificates")
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="cumulet-hosts-") as base:
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line), Path(base)), default=str), flush=True)


if __name__ == "__main__":
    main()
