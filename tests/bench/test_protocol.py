"""The protocol with made-up passes: who runs when, how often, and what becomes of a failure."""

from __future__ import annotations

import itertools
import runpy

import pytest

from ondevice.bench import process, protocol
from ondevice.bench.protocol import Pass, PassError, Timed


class Log:
    """Makes passes of given times and notes who ran; repeats the last time."""

    def __init__(self):
        self.order = []
        self.pauses = []

    def passes(self, name, times):
        following = itertools.chain(times, itertools.repeat(times[-1]))

        def one():
            self.order.append(name)
            value = next(following)
            if isinstance(value, Exception):
                raise value
            return Pass(1, value, 2)

        return one

    def run(self, iterations, **times):
        passes = {name: self.passes(name, values) for name, values in times.items()}
        return protocol.run_interleaved(passes, iterations, pause=self.pauses.append)


def test_the_artifacts_take_turns():
    assert "".join(protocol.interleave("ABC", 3)) == "ABCABCABC"
    log = Log()
    timed = log.run(5, a=[100], b=[50], c=[70])
    assert "".join(log.order) == "abc" * (2 * protocol.WINDOW + 5)
    assert [one.infer for one in timed["b"].passes] == [50] * 5
    assert log.pauses == [protocol.PAUSE_SECONDS] * len(log.order)


@pytest.mark.parametrize(
    ("system", "words"),
    [("linux", "stopped (SIGSTOP), 10 ms apart"), ("darwin", "100 ms apart")],
)
def test_what_happens_between_turns_is_one_rule(system, words, monkeypatch):
    monkeypatch.setattr("sys.platform", system)
    rule = runpy.run_path(protocol.__file__)
    assert rule["BETWEEN_TURNS"] == words
    assert rule["STOPS_BETWEEN"] == ("SIGSTOP" in words)
    assert f"{rule['PAUSE_SECONDS'] * 1000:g} ms" in words
    assert process.STOPS_BETWEEN == protocol.STOPS_BETWEEN


def test_each_is_warmed_up_until_it_is_stable_and_then_waits():
    log = Log()
    falling = [1000, 900, 800, 700, 600, 500, 400, 300, 200]
    timed = log.run(4, a=[100], b=falling)
    assert len(timed["a"].warmup) == 2 * protocol.WINDOW
    # The medians of the last three and the three before are the same once all six are 200.
    assert len(timed["b"].warmup) == len(falling) + 2 * protocol.WINDOW - 2
    assert timed["a"].stable
    assert timed["b"].stable
    assert "".join(log.order[-8:]) == "abab" * 2
    assert {one.infer for one in timed["b"].passes} == {200}


def test_what_never_settles_is_timed_all_the_same_and_says_so():
    timed = Log().run(3, a=[100 + 2**i for i in range(40)])
    assert len(timed["a"].warmup) == protocol.WARMUP_MOST
    assert not timed["a"].stable
    assert len(timed["a"].passes) == 3
    assert {one.stable for one in protocol.measurements(timed["a"], 16)} == {False}


@pytest.mark.parametrize(
    ("times", "stable"),
    [
        ([100] * 5, False),
        ([100] * 6, True),
        ([100, 100, 100, 105, 105, 105], True),
        ([100, 100, 100, 106, 106, 106], False),
        ([106, 106, 106, 100, 100, 100], False),
        ([900, 100, 100, 100, 100, 900], True),  # an outlier does not move a median
        ([1, 2, 3, 100, 100, 100, 100, 100, 100], True),
    ],
)
def test_stable_means_that_two_medians_agree(times, stable):
    assert protocol.is_stable(times) is stable


@pytest.mark.parametrize("at", [0, 3, 6, 8])
def test_one_that_fails_drops_out_and_the_others_go_on(at):
    log = Log()
    timed = log.run(5, a=[100] * at + [PassError("its process was ended by SIGSEGV")], b=[70])
    assert timed["a"].failure == "its process was ended by SIGSEGV"
    assert len(timed["a"].warmup) + len(timed["a"].passes) == at
    assert log.order.count("a") == at + 1
    assert (len(timed["b"].passes), timed["b"].failure) == (5, "")


def test_the_stages_of_a_pass_become_measurements_that_add_up():
    timed = Timed(warmup=[Pass(9, 9, 9)], stable=True, passes=[Pass(1, 20, 3), Pass(2, 30, 4)])
    found = {one.kind: one for one in protocol.measurements(timed, 128)}
    assert found["model_only"].samples == (20, 30)
    assert found["tokenize"].samples == (1, 2)
    assert found["decode"].samples == (3, 4)
    assert found["end_to_end"].samples == (24, 36)
    assert {(one.length, one.warmup_runs, one.stable) for one in found.values()} == {(128, 1, True)}


def test_a_task_without_decoding_has_no_such_measurement():
    found = protocol.measurements(Timed(passes=[Pass(1, 20)]), 128)
    assert {one.kind: one.samples for one in found} == {
        "end_to_end": (21,),
        "model_only": (20,),
        "tokenize": (1,),
    }


def test_without_passes_there_are_no_measurements():
    assert protocol.measurements(Timed(failure="it hung"), 128) == []
