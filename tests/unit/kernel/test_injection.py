# SPDX-License-Identifier: Apache-2.0
"""What fake drivers are told to suffer: slow calls, failures, lost work and lost answers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.injection import Fault, Injection, read
from cumulet.kernel.link.outcome import CallTimeout


class Driver:
    """Counts what was done."""

    def __init__(self) -> None:
        self.done = 0

    @property
    def capabilities(self) -> str:
        return "all"

    def make(self, name: str) -> None:
        self.done += 1

    def ask(self, name: str) -> str:
        self.done += 1
        return f"made {name}"


@pytest.fixture
def injection() -> Injection:
    return Injection()


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_without_faults_nothing_happens(injection: Injection, driver: Driver) -> None:
    wrapped = injection.wrap(driver, "lab.fake")
    assert wrapped.capabilities == "all"
    assert wrapped.ask("x") == "made x"


def test_a_failure_comes_in_the_place_of_the_work(injection: Injection, driver: Driver) -> None:
    injection.set([Fault(place="lab.fake.make", kind="fail", error="Conflict", count=1)])
    wrapped = injection.wrap(driver, "lab.fake")
    with pytest.raises(Conflict):
        wrapped.make("x")
    assert driver.done == 0
    wrapped.make("x")
    assert driver.done == 1


def test_a_bug_is_none_of_the_kernels_errors(injection: Injection, driver: Driver) -> None:
    injection.set([Fault(place="*", kind="fail", error="Bug")])
    with pytest.raises(RuntimeError):
        injection.wrap(driver, "lab.fake").make("x")


def test_a_lost_answer_comes_after_the_work(injection: Injection, driver: Driver) -> None:
    injection.set([Fault(place="lab.fake.*", kind="lose_answer")])
    with pytest.raises(CallTimeout):
        injection.wrap(driver, "lab.fake").ask("x")
    assert driver.done == 1


def test_lost_work_is_answered_as_if_it_were_done(injection: Injection, driver: Driver) -> None:
    injection.set([Fault(place="lab.fake.*", kind="lose_work")])
    wrapped = injection.wrap(driver, "lab.fake", answers={"ask": lambda name: f"made {name}"})
    wrapped.make("x")
    assert wrapped.ask("x") == "made x"
    assert driver.done == 0


def test_an_answer_that_cannot_be_made_up_is_the_true_one(injection: Injection, driver: Driver) -> None:
    injection.set([Fault(place="lab.fake.ask", kind="lose_work")])
    assert injection.wrap(driver, "lab.fake").ask("x") == "made x"
    assert driver.done == 1


def test_a_delay_is_before_the_work_and_goes_with_others(injection: Injection, driver: Driver) -> None:
    injection.set(
        [
            Fault(place="lab.fake.make", kind="delay", seconds=0.05),
            Fault(place="lab.fake.make", kind="fail", count=1),
        ]
    )
    wrapped = injection.wrap(driver, "lab.fake")
    begin = time.monotonic()
    with pytest.raises(NotReady):
        wrapped.make("x")
    assert time.monotonic() - begin >= 0.05


def test_only_the_host_that_is_meant(injection: Injection, driver: Driver) -> None:
    injection.set([Fault(place="lab.*", host="host-2", kind="fail")])
    injection.wrap(driver, "lab.fake", "host-1").make("x")
    with pytest.raises(NotReady):
        injection.wrap(driver, "lab.fake", "host-2").make("x")


def test_chance_is_the_same_in_each_run(driver: Driver) -> None:
    def run() -> list[bool]:
        injection = Injection()
        injection.set([Fault(place="*", kind="lose_work", probability=0.5, seed=7)])
        wrapped, seen = injection.wrap(driver, "lab.fake"), []
        for _ in range(40):
            before = driver.done
            wrapped.make("x")
            seen.append(driver.done == before)
        return seen

    first = run()
    assert first == run()
    assert 8 < sum(first) < 32


def test_the_file_is_followed(tmp_path: Path, driver: Driver) -> None:
    path = tmp_path / "faults.toml"
    wrapped = Injection(path).wrap(driver, "lab.fake")
    wrapped.make("x")
    path.write_text('[[fault]]\nplace = "lab.fake.make"\nkind = "fail"\n')
    with pytest.raises(NotReady):
        wrapped.make("x")
    path.write_text("not toml at all, and longer than before, so that it is seen at once")
    with pytest.raises(NotReady):
        wrapped.make("x")
    path.unlink()
    wrapped.make("x")


@pytest.mark.parametrize(
    "text",
    [
        '[[fault]]\nplace = "x"\nkind = "explode"\n',
        '[[fault]]\nplace = "x"\nkind = "fail"\nerror = "Nonsense"\n',
        '[[fault]]\nplace = "x"\nkind = "fail"\nwho = "me"\n',
        '[[faults]]\nplace = "x"\nkind = "fail"\n',
        '[[fault]]\nkind = "fail"\n',
    ],
)
def test_files_that_cannot_be_understood(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        read(path)
