# SPDX-License-Identifier: Apache-2.0
"""BFD's packets and sessions, against RFC 5880."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.network.drivers.fabric import bfd
from cumulet.services.network.drivers.fabric.bfd import Control, Pace, Reason, Session, State

WORD = st.integers(0, 2**32 - 1)
STATES = st.sampled_from(list(State))
packets = st.builds(
    Control,
    state=STATES,
    own=st.integers(1, 2**32 - 1),
    yours=st.integers(1, 2**32 - 1),
    multiplier=st.integers(1, 255),
    min_tx=WORD,
    min_rx=WORD,
    min_echo_rx=WORD,
    diagnostic=st.integers(0, 31),
    poll=st.booleans(),
    final=st.booleans(),
    demand=st.booleans(),
)
SAID = Control(state=State.DOWN, own=77, multiplier=3, min_tx=300_000, min_rx=300_000)
WIRE = bytes.fromhex("20400318 0000004d 00000000 000493e0 000493e0 00000000")


def session(state: State = State.DOWN, pace: Pace | None = None) -> Session:
    made = Session(own=5, since=0.0, pace=pace or Pace(), chance=lambda: 1.0)
    made.state = state
    return made


def said(state: State, **words: object) -> Control:
    return msgspec.structs.replace(SAID, state=state, yours=5, **words)


def test_a_packet_on_the_wire():
    assert bfd.encode(SAID) == WIRE
    assert bfd.decode(WIRE) == SAID
    assert bfd.decode(WIRE + b"what follows the packet is not its own") == SAID


@given(packets)
def test_what_is_written_is_read_again(packet):
    assert bfd.decode(bfd.encode(packet)) == packet


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=23, max_size=64).map(lambda data: WIRE[:4] + data)))
def test_garbage_is_discarded_or_read(data):
    found = bfd.decode(data)
    assert found is None or (found.own and found.multiplier and found.min_tx >= 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 0x00), (0, 0x40), (2, 0), (3, 23), (3, 25), (1, 0x41), (1, 0x44), (1, 0x80), (1, 0xC0), (7, 0)],
    ids=[
        "version-0", "version-2", "multiplier-0", "short", "longer-than-sent", "multipoint", "key", "init-to-nobody",
        "up-to-nobody", "from-nobody",
    ],
)  # fmt: skip
def test_what_the_rfc_has_discarded(place, value):
    data = bytearray(WIRE)
    data[place] = value
    assert bfd.decode(bytes(data)) is None


# RFC 5880 6.2 and 6.8.6: the state that each word of the other end leads to.
TABLE = {
    State.DOWN: (State.DOWN, State.INIT, State.UP, State.DOWN),
    State.INIT: (State.DOWN, State.INIT, State.UP, State.UP),
    State.UP: (State.DOWN, State.DOWN, State.UP, State.UP),
    State.ADMIN_DOWN: (State.ADMIN_DOWN,) * 4,
}


@pytest.mark.parametrize("word", list(State), ids=[f"hears-{one.name}" for one in State])
@pytest.mark.parametrize("state", list(State), ids=[one.name for one in State])
def test_the_table_of_states(state, word):
    one = session(state)
    one.hear(said(word), 1.0)
    assert one.state is TABLE[state][word]
    if state is State.UP and one.state is State.DOWN:
        assert one.reason is Reason.NEIGHBOUR


def test_two_ends_find_each_other_and_lose_each_other():
    ends = Session(own=1, since=0.0, chance=lambda: 0.5), Session(own=2, since=0.3, chance=lambda: 0.2)
    now = _converse(ends, 0.0, lambda: all(one.state is State.UP for one in ends))
    assert now < 2.0, "each says so at once when its state is another"
    assert [one.peer.own for one in ends] == [2, 1]
    assert _converse(ends, now, lambda: False, until=now + 30) == now + 30
    assert all(one.state is State.UP for one in ends)
    alone = ends[0]
    for _ in range(40):
        alone.turn(alone.due)
        if alone.state is not State.UP:
            break
    assert (alone.state, alone.reason, alone.peer.own) == (State.DOWN, Reason.UNHEARD, 0)


def test_the_time_until_silence_is_noticed():
    one = session()
    one.hear(said(State.INIT, multiplier=3, min_tx=2_000_000), 10.0)
    assert one.state is State.UP
    one.turn(15.9)
    assert one.state is State.UP, "3 times 2 seconds, for so slowly does it speak"
    assert one.turn(16.0).diagnostic == Reason.UNHEARD
    assert one.state is State.DOWN
    one.hear(said(State.INIT, multiplier=3, min_tx=50_000), 20.0)
    one.turn(22.9)
    assert one.state is State.UP, "3 times 1 second, for no sooner is it asked to speak"
    one.turn(23.0)
    assert one.state is State.DOWN


def test_the_pace_is_what_the_slower_one_wants():
    one = session()
    assert one.turn(0.0).state is State.DOWN, "the first at once"
    assert one.due == 1.0
    one.hear(said(State.DOWN, min_rx=4_000_000), 0.1)
    assert one.turn(0.1).state is State.INIT
    assert one.due == pytest.approx(3.1), "the end of the detection time, which comes sooner"
    assert one.turn(0.5) is None
    one.hear(said(State.UP, min_rx=4_000_000), 0.9)
    assert one.turn(0.9).state is State.UP
    for moment in (1.5, 2.4, 3.3, 4.2, 4.8):
        one.hear(said(State.UP, min_rx=4_000_000), moment)
        assert one.turn(moment) is None
    assert one.turn(4.9) is not None


def test_it_is_a_little_sooner_each_time():
    found = {Session(own=1, since=0.0, chance=lambda each=each: each)._spread(1.0) for each in (0.0, 0.5, 1.0)}
    assert found == {0.75, 0.875, 1.0}
    assert Session(own=1, since=0.0, pace=Pace(multiplier=1), chance=lambda: 1.0)._spread(1.0) == pytest.approx(0.9)


def test_nothing_is_said_to_who_does_not_want_it():
    one = session()
    one.turn(0.0)
    one.hear(said(State.DOWN, min_rx=0), 0.1)
    assert one.turn(0.1) is None
    one.hear(said(State.DOWN, min_rx=0, poll=True), 0.3)
    assert one.state is State.INIT
    one.hear(said(State.DOWN, min_rx=1), 0.4)
    assert one.due <= 1.1


def test_who_demands_is_left_in_peace():
    one = session(State.UP)
    one.hear(said(State.UP, demand=True), 1.0)
    assert one.turn(2.0) is None
    assert one.hear(said(State.UP, demand=True, poll=True), 2.5).final, "but answered"
    one.hear(said(State.UP), 3.0)
    assert one.turn(3.0 + 1e-6) is not None or one.due < 4.1


def test_a_question_is_answered_at_once():
    one = session(State.UP)
    answer = one.hear(said(State.UP, poll=True), 1.0)
    assert (answer.final, answer.poll, answer.yours) == (True, False, 77)
    assert one.hear(said(State.UP), 1.1) is None


def test_another_pace_is_asked_for_until_it_is_confirmed():
    one = session(State.INIT, Pace(min_tx=300_000))
    assert one.turn(0.0).min_tx == 1_000_000, "slow, while it is not up"
    one.hear(said(State.INIT, min_rx=100_000), 0.5)
    first = one.turn(0.5)
    assert (first.state, first.poll, first.min_tx) == (State.UP, True, 300_000)
    assert one.due == pytest.approx(0.8)
    assert one.turn(0.8).poll
    answer = one.hear(said(State.UP, min_rx=100_000, poll=True), 0.9)
    assert answer.final
    assert not answer.poll
    one.hear(said(State.UP, min_rx=100_000, final=True), 1.0)
    assert not one.turn(1.2).poll
    one.hear(said(State.DOWN, min_rx=100_000), 1.3)
    down = one.turn(1.3)
    assert (down.state, down.poll, down.min_tx) == (State.DOWN, True, 1_000_000)


def test_what_is_for_others_is_not_heard():
    one = session(State.UP)
    assert one.hear(msgspec.structs.replace(SAID, yours=6), 1.0) is None
    assert one.state is State.UP
    assert one.peer.own == 0


def test_the_end():
    one = session(State.UP)
    last = one.end()
    assert (last.state, last.diagnostic) == (State.ADMIN_DOWN, Reason.ENDED)
    assert one.due == math.inf
    assert one.hear(said(State.DOWN, poll=True), 2.0) is None
    assert one.turn(9.0) is None


@given(st.lists(st.tuples(packets, st.floats(0, 9, allow_nan=False)), max_size=30))
def test_whatever_is_heard_it_goes_on(heard):
    one, now = Session(own=5, since=0.0), 0.0
    for packet, pause in heard:
        now += pause
        for each in (one.turn(now), one.hear(msgspec.structs.replace(packet, yours=5), now), one.turn(now)):
            assert each is None or bfd.decode(bfd.encode(each)) == each
        assert one.state in (State.DOWN, State.INIT, State.UP)
        assert one.due > now or one.turn(now) is None
        assert one.due < math.inf, "it never waits for ever"


def _converse(ends, now, done, until=60.0):
    """Carry packets between the two without delay; when it was done."""
    while not done() and now < until:
        now = min(until, max(now, min(one.due for one in ends)))
        for one, other in (ends, ends[::-1]):
            waiting = [one.turn(now)]
            while waiting:
                packet = waiting.pop()
                if packet is not None:
                    waiting = [other.hear(bfd.decode(bfd.encode(packet)), now)]
                    one, other = other, one
    return now
