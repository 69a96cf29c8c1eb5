"""The breaker: when it opens, whom it sends, when it closes, and an outage under a clock of our own."""

from __future__ import annotations

import heapq
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core import breaker, lifecycle
from scalable.core.breaker import (
    FIRST_PROBE_S,
    GROWTH,
    LONGEST_PROBE_S,
    MOST_NEEDED,
    QUIET_S,
    REMEMBERED,
    THRESHOLD,
    WINDOW_S,
    Circuit,
    FailedAlike,
    GiveUpAfter,
    HoldBack,
    Park,
    PatienceOver,
    ProbeAfter,
    ProbeDue,
    ProbeGone,
    Release,
    SendProbe,
    Worked,
    step,
)
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.policy import Retry


def fold(*events, circuit=None):
    """Fold events into a circuit: what it is in the end, and all that was to be done."""
    circuit, done = circuit or Circuit(), []
    for event in events:
        circuit, actions = step(circuit, event)
        done += actions
    return circuit, done


def alike(task, at=0.0, fingerprint="away", patience_s=300.0):
    return FailedAlike(at, str(task), fingerprint, patience_s)


def opened(at=0.0, **fields):
    circuit, _ = fold(*(alike(i, at, **fields) for i in range(THRESHOLD)))
    assert circuit.open
    return circuit


# --- opening -----------------------------------------------------------------------------------------------


def test_it_opens_when_enough_different_tasks_fail_alike():
    circuit, done = fold(*(alike(i, 1.3 * i) for i in range(THRESHOLD - 1)))
    assert (circuit.open, done) == (False, [])
    circuit, done = step(circuit, alike(THRESHOLD, 12.0, patience_s=77.0))
    reason = "10 tasks failed the same way within 12 s: parked until a probe succeeds"
    assert done == (Park(reason), HoldBack(), ProbeAfter(FIRST_PROBE_S), GiveUpAfter(77.0))
    assert (circuit.opened_at, circuit.causes) == (12.0, ("away",))


def test_a_short_time_is_told_in_tenths():
    assert "within 0.0 s" in opened().reason


def test_one_task_that_fails_often_does_not_open_it():
    circuit, _ = fold(*(alike("same", i) for i in range(10 * THRESHOLD)))
    assert not circuit.open
    assert len(circuit.recent) == 1


def test_a_success_between_begins_the_count_again():
    circuit, _ = fold(*(alike(i) for i in range(THRESHOLD - 1)), Worked(1.0), alike("last"))
    assert (circuit.open, len(circuit.recent)) == (False, 1)


def test_failures_far_apart_are_no_outage():
    circuit, _ = fold(*(alike(i, i * WINDOW_S / (THRESHOLD - 2)) for i in range(10 * THRESHOLD)))
    assert not circuit.open


def test_different_failures_are_no_outage():
    circuit, _ = fold(*(alike(i, fingerprint=str(i)) for i in range(REMEMBERED + 10)))
    assert (circuit.open, len(circuit.recent)) == (False, REMEMBERED)


# --- open --------------------------------------------------------------------------------------------------


def test_what_fails_alike_while_it_is_open_is_parked():
    circuit, done = fold(alike("late", 5.0), circuit=opened())
    assert done == [Park(circuit.reason)]


def test_what_fails_otherwise_while_it_is_open_is_its_own_failure():
    circuit, done = fold(alike("late", 5.0, "other"), circuit=opened())
    assert (circuit.open, done) == (True, [])


def test_it_stays_open_for_a_second_way_to_fail():
    circuit, done = fold(*(alike(i, 5.0, "other") for i in range(THRESHOLD)), circuit=opened())
    assert circuit.causes == ("away", "other")
    assert done == [Park(circuit.reason)]


def test_the_waits_between_probes_grow_up_to_the_longest():
    circuit, waits = opened(), []
    for turn in range(9):
        circuit, done = fold(ProbeDue(turn, "oldest"), alike("oldest", turn + 0.5), circuit=circuit)
        send, _park, after = done
        assert send == SendProbe("oldest")
        waits.append(after.delay_s)
    assert waits == [min(LONGEST_PROBE_S, GROWTH ** (turn + 1)) for turn in range(9)]
    assert waits[-1] == LONGEST_PROBE_S
    assert all(later >= earlier for earlier, later in pairwise(waits))


def test_there_is_one_probe_at_a_time():
    _, done = fold(ProbeDue(1.0, "a"), ProbeDue(2.0, "b"), circuit=opened())
    assert done == [SendProbe("a")]


@pytest.mark.parametrize("gone", [ProbeGone(2.0, "a"), alike("a", 2.0, "other")])
def test_a_probe_that_says_nothing_is_followed_by_another_after_the_same_wait(gone):
    circuit, done = fold(ProbeDue(1.0, "a"), gone, ProbeDue(3.0, "b"), circuit=opened())
    assert done == [SendProbe("a"), ProbeAfter(FIRST_PROBE_S), SendProbe("b")]
    assert circuit.probe == "b"


def test_the_end_of_another_task_is_not_that_of_the_probe():
    circuit, done = fold(ProbeDue(1.0, "a"), ProbeGone(2.0, "b"), circuit=opened())
    assert (circuit.probe, done) == ("a", [SendProbe("a")])


# --- closing -----------------------------------------------------------------------------------------------


def test_any_success_closes_it():
    circuit, done = fold(Worked(1.0), circuit=opened())
    assert (circuit.open, circuit.causes, circuit.recent, done) == (False, (), (), [Release()])


def test_a_false_alarm_doubles_what_the_next_one_needs():
    circuit, needed = Circuit(), []
    for _ in range(8):
        count = 0
        while not circuit.open:
            circuit, _ = step(circuit, alike(count, 10.0))
            count += 1
        needed.append(count)
        circuit, _ = fold(ProbeDue(11.0, "a"), Worked(11.0), circuit=circuit)
    assert needed == [10, 20, 40, 80, 160, 320, MOST_NEEDED, MOST_NEEDED]


@pytest.mark.parametrize("at", [12.0, 12.0 + QUIET_S + 1])
def test_an_outage_or_a_quiet_time_makes_up_for_false_alarms(at):
    circuit, _ = fold(Worked(11.0), Worked(12.0), circuit=opened())
    if at == 12.0:
        circuit, _ = fold(*(alike(i, at) for i in range(2 * THRESHOLD)), circuit=circuit)
        assert circuit.open
        circuit, _ = fold(ProbeDue(13.0, "a"), alike("a", 14.0), Worked(15.0), circuit=circuit)
        assert circuit == Circuit()
    circuit, _ = fold(*(alike(i, at + 4.0) for i in range(THRESHOLD)), circuit=circuit)
    assert circuit.open


def test_without_anybody_who_waits_it_closes():
    circuit, done = fold(ProbeDue(1.0, None), circuit=opened())
    assert (circuit, done) == (Circuit(), [Release()])


def test_after_its_patience_it_does_not_park_before_a_success():
    circuit, done = fold(PatienceOver(300.0), circuit=opened())
    assert done == [Release()]
    circuit, done = fold(*(alike(i, 301.0) for i in range(2 * THRESHOLD)), circuit=circuit)
    assert (circuit.open, done) == (False, [])
    circuit, _ = fold(Worked(310.0), *(alike(i, 311.0) for i in range(THRESHOLD)), circuit=circuit)
    assert circuit.open


def test_after_its_patience_it_still_parks_what_fails_otherwise():
    circuit, _ = fold(PatienceOver(300.0), circuit=opened())
    circuit, _ = fold(*(alike(i, 301.0, "other") for i in range(THRESHOLD)), circuit=circuit)
    assert (circuit.open, circuit.causes, circuit.tired) == (True, ("other",), ("away",))


@pytest.mark.parametrize("event", [ProbeDue(1.0, "a"), PatienceOver(1.0), Worked(1.0), ProbeGone(1.0, "a")])
def test_timers_that_ring_late_change_nothing(event):
    assert fold(event) == (Circuit(), [])


# --- whatever happens --------------------------------------------------------------------------------------

TASKS = st.sampled_from([str(i) for i in range(2 * THRESHOLD)])
EVENTS = st.lists(
    st.one_of(
        st.builds(alike, TASKS, st.floats(0, 100), st.sampled_from(["away", "other"])),
        st.builds(Worked, st.floats(0, 100)),
        st.builds(ProbeDue, st.floats(0, 100), st.none() | TASKS),
        st.builds(ProbeGone, st.floats(0, 100), TASKS),
        st.builds(PatienceOver, st.floats(0, 100)),
    ),
    max_size=120,
)


@given(EVENTS)
def test_whatever_happens_who_is_parked_is_released(events):
    """A model of the engine: tasks that are parked, and whether a timer is set that will release them."""
    circuit, parked, armed = Circuit(), set(), False
    for event in [alike(i) for i in range(THRESHOLD)] + events:
        circuit, actions = step(circuit, event)
        for action in actions:
            if isinstance(action, Park):
                parked.add(event.task)
            elif isinstance(action, GiveUpAfter):
                armed = True
            elif isinstance(action, SendProbe):
                parked.discard(action.task)
            elif isinstance(action, Release):
                parked, armed = set(), False
        assert armed == circuit.open
        assert not parked or circuit.open
        assert len(circuit.recent) <= REMEMBERED
    _, actions = step(circuit, PatienceOver(1000.0))
    assert (Release() in actions) == circuit.open


@given(EVENTS)
def test_a_recorded_run_replays_exactly(events):
    packed = msgspec.json.encode(events)
    again = msgspec.json.decode(packed, type=list[breaker.Event])
    assert fold(*again) == fold(*events)


@pytest.mark.parametrize("seed", range(3))
def test_flaky_work_never_opens_it(seed):
    """One call in five fails in the same way, of 10,000 tasks, each tried until it succeeds."""
    luck, circuit, waiting = random.Random(seed), Circuit(), list(range(10_000))
    calls = 0
    while waiting:
        task, at = waiting.pop(), calls * 0.01
        failed = luck.random() < 0.2
        circuit, _ = step(circuit, alike(task, at) if failed else Worked(at))
        assert not circuit.open
        if failed:
            waiting.insert(luck.randrange(len(waiting) + 1), task)
        calls += 1


# --- an outage ----------------------------------------------------------------------------------------------

AWAY = Failure(
    outcome="error",
    kind="transient",
    rule="connection",
    exception=ExceptionInfo("ConnectionError", "away"),
    fingerprint="away",
)


class World:
    """Tasks, slots, a dependency that is away for a while, and a clock that jumps; the core decides."""

    TASKS, SLOTS, WORK_S, IN_VAIN_S = 3000, 64, 6.0, 1.0
    OUTAGE = (60.0, 240.0)

    def __init__(self, policy):
        self.policy = policy
        self.now, self.luck = 0.0, random.Random(1)
        self.tasks = [lifecycle.Task(policy) for _ in range(self.TASKS)]
        self.circuit, self.parked, self.release_at = Circuit(), set(), None
        self.queue = list(range(self.TASKS))
        self.free, self.wasted = self.SLOTS, 0
        self.events, self.number, self.timers = [], 0, {}

    def at(self, delay_s, what, *details):
        self.number += 1
        heapq.heappush(self.events, (self.now + delay_s, self.number, what, details))
        return self.number

    def run(self):
        self.fill()
        while self.events:
            self.now, number, what, details = heapq.heappop(self.events)
            if what in ("probe", "patience") and self.timers.get(what) != number:
                continue
            getattr(self, what)(*details)
            self.fill()
        return self

    def fill(self):
        while self.free and self.queue:
            task = heapq.heappop(self.queue)
            if self.circuit.open and self.policy.breaker and str(task) != self.circuit.probe:
                self.fold(task, lifecycle.HeldBack(self.now))
            else:
                self.start(task)

    def start(self, task):
        self.free -= 1
        away = self.OUTAGE[0] <= self.now < self.OUTAGE[1]
        self.fold(task, lifecycle.Started(self.now))
        self.at(self.IN_VAIN_S if away else self.WORK_S, "ended", task, away)

    def ended(self, task, failed):
        self.free += 1
        self.wasted += failed
        if not failed:
            self.turn(Worked(self.now))
            return self.fold(task, lifecycle.Succeeded(self.now))
        park = None
        if self.policy.breaker:
            actions = self.turn(FailedAlike(self.now, str(task), "away", self.policy.patience))
            park = next((action.reason for action in actions if isinstance(action, Park)), None)
        return self.fold(task, lifecycle.Failed(self.now, self.luck.random(), AWAY, park))

    def fold(self, task, event):
        self.tasks[task], actions = lifecycle.step(self.tasks[task], event)
        for action in actions:
            if isinstance(action, lifecycle.Hold):
                self.at(action.delay_s, "hold_ended", task)
            elif isinstance(action, lifecycle.Park):
                self.parked.add(task)

    def hold_ended(self, task):
        self.fold(task, lifecycle.HoldEnded(self.now))
        heapq.heappush(self.queue, task)

    def turn(self, event):
        self.circuit, actions = step(self.circuit, event)
        for action in actions:
            match action:
                case ProbeAfter():
                    self.timers["probe"] = self.at(action.delay_s, "probe")
                case GiveUpAfter():
                    self.timers["patience"] = self.at(action.delay_s, "patience")
                case SendProbe():
                    self.parked.remove(int(action.task))
                    self.hold_ended(int(action.task))
                case Release():
                    self.timers.clear()
                    parked, self.parked = self.parked, set()
                    for task in sorted(parked):
                        self.hold_ended(task)
        return actions

    def probe(self):
        self.turn(ProbeDue(self.now, str(min(self.parked)) if self.parked else None))

    def patience(self):
        self.turn(PatienceOver(self.now))


def test_an_outage_of_three_minutes_costs_a_tenth_of_the_calls_and_no_task():
    bare = World(Retry(retries=10, breaker=False)).run()
    ours = World(Retry(retries=10)).run()
    assert {task.state for task in ours.tasks} == {"succeeded"}
    assert ours.wasted <= 0.1 * bare.wasted
    assert ours.now <= 1.05 * bare.now  # the first probe after the end, and that it takes its time
    assert max(task.failures for task in ours.tasks) <= 2


def test_an_outage_longer_than_patience_ends_every_task_within_its_attempts():
    world = World(Retry(retries=2, base=0.1, patience=30.0))
    world.OUTAGE = (60.0, 1e9)
    world.run()
    assert {task.state for task in world.tasks} == {"succeeded", "failed"}
    assert all(task.failures <= 3 and not task.parked for task in world.tasks)
    assert not world.parked
