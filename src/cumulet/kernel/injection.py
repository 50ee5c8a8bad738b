# SPDX-License-Identifier: Apache-2.0
"""Trouble that fake drivers are told to have: calls that are slow, that fail, or whose work or answer is lost.

A driver that is wrapped passes the place `<service>.fake.<verb>` with each call. What happens there is said by faults,
from a test (`Injection.set`) or by the operator in the file `faults.toml` of the state directory:

    [[fault]]
    place = "compute.fake.*"   # a pattern, as shells have them
    kind = "delay"             # delay, fail, lose_answer or lose_work
    seconds = 2.5
    host = "host-1"            # also a pattern; all hosts without it
    count = 3                  # the first three calls; all without it
    probability = 0.5          # of the calls, every other one, as the seed has it
    seed = 7

Only fake drivers are ever wrapped, so there is no way from here to a real one. Each process counts for itself, and
begins anew when the file changes. The same places may be killed at, before and after the work (`kernel.faults`).
"""

from __future__ import annotations

import logging
import random
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec

from cumulet.kernel import errors, faults
from cumulet.kernel.link.outcome import CallTimeout

LOG = logging.getLogger(__name__)

FILE = "faults.toml"
BUG = "Bug"  # the error that is none of the kernel's

T = TypeVar("T")
Kind = Literal["delay", "fail", "lose_answer", "lose_work"]


class Fault(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What happens at the places that match.

    `delay`: the work begins `seconds` later. `fail`: `error`, a kernel error's name or `Bug`, in the place of the work.
    `lose_answer`: the work is done, then after `seconds` the call ends as one that nobody answered. `lose_work`: the
    call succeeds though nothing was done; verbs whose answer could not be made up are left alone.
    """

    place: str
    kind: Kind
    host: str = "*"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    error: str = "NotReady"
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.error != BUG and self.error not in _ERRORS:
            raise ValueError(f"there is no error {self.error}; there are {BUG}, {', '.join(sorted(_ERRORS))}")


class _Armed:
    """A fault with what is left of it."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = fault.count
        self._dice = random.Random(fault.seed)  # noqa: S311 - a test's dice, the same in each run

    def strikes(self, place: str, host: str, kinds: frozenset[str]) -> bool:
        """Whether it happens to this call, which counts as one of its calls then."""
        fault = self.fault
        if self._left == 0 or fault.kind not in kinds:
            return False
        if not (fnmatchcase(place, fault.place) and fnmatchcase(host, fault.host)):
            return False
        if fault.probability < 1 and self._dice.random() >= fault.probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True


class Injection:
    """The faults in force; those of the file at `path`, if one is named, follow the file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()

    def set(self, wanted: Sequence[Fault]) -> None:
        """Have these faults and no others."""
        with self._lock:
            self._armed = [_Armed(fault) for fault in wanted]

    def wrap(self, driver: T, place: str, host: str = "", answers: Mapping[str, Callable[..., Any]] | None = None) -> T:
        """`driver`, a fake, with trouble: each call of a public verb passes `<place>.<verb>`.

        `answers` makes up the answers of verbs that have one, from their arguments, for `lose_work`.
        """
        return cast(T, _Troubled(driver, self, place, host, answers or {}))

    def strike(self, place: str, host: str, kinds: frozenset[str]) -> list[Fault]:
        """The faults that happen to a call at `place` on `host`."""
        with self._lock:
            self._follow_file()
            return [armed.fault for armed in self._armed if armed.strikes(place, host, kinds)]

    def _follow_file(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._stamp is not None:
                self._stamp, self._armed = None, []
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._armed = [_Armed(fault) for fault in read(self._path)]
            except (ValueError, OSError) as error:
                LOG.error("the faults of %s are not used, those of before are: %s", self._path, error)


def read(path: Path) -> list[Fault]:
    """The faults that a file asks for. Raises ValueError where it cannot be understood."""
    tree = tomllib.loads(path.read_text(encoding="utf-8"))
    if set(tree) - {"fault"}:
        raise ValueError(f"unknown: {', '.join(sorted(set(tree) - {'fault'}))}")
    try:
        return msgspec.convert(tree.get("fault", []), list[Fault])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


class _Troubled:
    """Stands before a fake driver."""

    def __init__(
        self, driver: Any, injection: Injection, place: str, host: str, answers: Mapping[str, Callable[..., Any]]
    ) -> None:
        self._driver = driver
        self._injection = injection
        self._place = place
        self._host = host
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        if name.startswith("_") or not callable(found):
            return found
        return lambda *words, **named: self._pass(name, found, words, named)

    def _pass(self, verb: str, work: Callable[..., Any], words: tuple[Any, ...], named: dict[str, Any]) -> Any:
        place = f"{self._place}.{verb}"
        lie = self._answers.get(verb) or (_nothing if _answers_nothing(work) else None)
        kinds = _ALL if lie is not None else _ALL - {"lose_work"}
        struck = self._injection.strike(place, self._host, kinds)
        faults.point(f"{place}:before")
        for delay in struck:
            if delay.kind == "delay":
                time.sleep(delay.seconds)
        fault = next((each for each in struck if each.kind != "delay"), None)
        if fault is not None and fault.kind == "fail":
            raise _error(fault.error, place)
        if fault is not None and fault.kind == "lose_work" and lie is not None:
            return lie(*words, **named)
        answer = work(*words, **named)
        faults.point(f"{place}:after")
        if fault is not None:
            time.sleep(fault.seconds)
            raise CallTimeout(f"the answer of {place} was lost on purpose", code="InjectedFault")
        return answer


_ALL: frozenset[str] = frozenset({"delay", "fail", "lose_answer", "lose_work"})
_ERRORS = {kind.__name__: kind for kind in errors.CumuletError.__subclasses__() if kind.__module__ == errors.__name__}


def _error(name: str, place: str) -> Exception:
    words = f"{place} failed on purpose"
    return RuntimeError(words) if name == BUG else _ERRORS[name](words, code="InjectedFault")


def _nothing(*_words: Any, **_named: Any) -> None:
    """The answer of a verb that has none."""


def _answers_nothing(work: Callable[..., Any]) -> bool:
    return getattr(work, "__annotations__", {}).get("return", ...) in (None, "None")
