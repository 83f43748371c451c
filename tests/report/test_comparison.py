"""What changed between two sets of results, and what of it is noise."""

from __future__ import annotations

import pytest

from ondevice.bench import parts
from ondevice.errors import DataError, UserError
from ondevice.report.comparison import compare, comparison_tables, parse_threshold
from tests.report import made
from tests.report.conftest import gather

OLD = made.result(salt="old", questions=200)


def changes(new, old=OLD):
    found = compare(gather(new), gather(old))
    return {change.what: change for change in found.changes}


def test_a_slower_artifact_is_outside_the_noise():
    found = changes(made.result(salt="new", factor=1.10))["model only, 384 tokens"]
    assert found.percent == pytest.approx(10, abs=1.5)
    assert found.verdict == "worse"
    assert found.regressed(5.0)
    assert not found.regressed(15.0)


def test_a_faster_artifact_is_no_regression():
    found = changes(made.result(salt="new", factor=0.90))["model only, 384 tokens"]
    assert found.verdict == "better"
    assert not found.regressed(0.0)


def test_another_run_of_the_same_is_within_the_noise_mostly():
    found = changes(made.result(salt="new", questions=200)).values()
    timed = [one for one in found if one.unit == "ms"]
    assert len(timed) == 2 + 4 * len(made.LENGTHS)
    # 95 % intervals: of 18 figures one or two lie outside by chance.
    assert sum(one.outside_noise for one in timed) <= 4
    assert not any(one.regressed(5.0) for one in found)


def test_a_large_change_of_few_samples_is_not_judged():
    def once(ms):
        sample = (int(ms * 1e6),)
        return made.result(measurements=(parts.Measurement(kind="load_cold", samples=sample),))

    compared = compare(gather(once(200.0)), gather(once(100.0)))
    (found,) = [change for change in compared.changes if change.what == "load, cold"]
    assert found.verdict == "noise unknown"
    assert found.percent == pytest.approx(100.0)
    assert not found.regressed(5.0)
    assert compared.warning(5.0) == (
        "1 figure changed by more than 5 % but could not be judged (too few runs)"
    )
    assert compared.warning(150.0) == ""


def test_a_broken_off_run_beside_a_complete_one_is_no_fault():
    broken = made.result(salt="broken", status="partial", reason="interrupted", memory=None)
    alone = compare(gather(broken), gather(OLD))
    assert len(alone.broken) == 1
    assert compare(gather(broken, made.result(salt="new")), gather(OLD)).broken == ()


def test_size_has_no_noise():
    bigger = made.result(
        artifact=made.identity(sha256=made.sha("new"), bytes=OLD.artifact.bytes * 2)
    )
    found = changes(bigger)["size"]
    assert found.verdict == "worse"
    assert found.regressed(99.0)


def test_a_lower_score_on_the_same_questions_is_a_regression():
    worse = made.score(made.STUDENT, "int8", 200)
    found = changes(made.result(salt="new", score=worse))["F1"]
    assert found.new < found.old
    assert found.verdict == "worse"
    assert found.regressed(1.0)
    higher = changes(OLD, made.result(salt="new", score=worse))["F1"]
    assert higher.verdict == "better"


def test_scores_on_other_questions_do_not_compare():
    found = changes(made.result(salt="new", questions=100))["F1"]
    assert found.verdict == "noise unknown"


def test_a_broken_golden_is_a_regression_whatever_the_threshold():
    failed = parts.GoldenCheck(status="failed", checked=3, reason="differs by 9.0")
    wrong = {"status": "partial", "reason": "differs by 9.0"}
    new = made.result(golden=failed, measurements=(), memory=None, **wrong)
    found = compare(gather(new, made.result("bert-teacher")), gather(OLD))
    (sentence,) = found.regressions(1000.0)
    assert "bert-student tflite fp32" in sentence
    assert "differs by 9.0" in sentence


@pytest.mark.parametrize(
    "fault", ["not run", "partial", "golden"], ids=["not run", "partial", "golden"]
)
@pytest.mark.parametrize("runtime", ["ai-edge-litert", "tflite"])
def test_what_ran_then_and_stops_now_is_a_regression(fault, runtime):
    # A host that cannot start an artifact knows no runtime: the target stands for it.
    fields = {"status": "partial", "reason": "it does not start", "measurements": ()}
    fields |= {"memory": None, "runtime": parts.RuntimeInfo(name=runtime)}
    if fault == "not run":
        fields["evidence"] = "not run"
    if fault == "golden":
        fields["golden"] = parts.GoldenCheck(status="failed", reason="it does not start")
    new, other = made.result(**fields), made.result("bert-teacher")
    found = compare(gather(new, other), gather(OLD, other))
    (sentence,) = found.regressions(1000.0)
    assert "bert-student tflite fp32" in sentence
    assert sentence.endswith("now: it does not start")
    assert compare(gather(new, other), gather(new, other)).regressions(1000.0) == []


def test_figures_of_one_side_only_are_listed():
    bare = [one for one in OLD.measurements if (one.kind, one.length) != ("decode", 64)]
    found = compare(gather(made.result(memory=None, measurements=tuple(bare))), gather(OLD))
    (sentence,) = found.left_out
    assert sentence.endswith("in the old results only: F1; decode, 64 tokens; peak memory")
    found = compare(gather(OLD), gather(made.result(memory=None)))
    (sentence,) = found.left_out
    assert sentence.endswith("in the new results only: F1; peak memory")


def test_a_new_version_of_a_runtime_or_file_is_compared():
    runtime = parts.RuntimeInfo(name="ai-edge-litert", version="9.9")
    artifact = made.identity(sha256=made.sha("rebuilt"))
    found = changes(made.result(salt="new", runtime=runtime, artifact=artifact))
    assert "model only, 384 tokens" in found


def test_a_new_version_of_the_system_is_compared():
    new = made.result(device=made.PHONE.model_copy(update={"os_version": "15"}))
    found = compare(gather(new), gather(made.result(device=made.PHONE)))
    assert {change.device for change in found.changes} == {"Example Phone 8, Android"}


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (
            made.result(protocol=made.PROTOCOL.model_copy(update={"threads": 4})),
            ["4 threads) is in the new", "2 threads) is in the old"],
        ),
        (
            made.result(device=made.PHONE),
            ["Example Phone 8, Android 14 is in the new", "Example CPU @ 2.0 GHz, Linux 6.1 is in"],
        ),
        (made.result(made.TEACHER), ["bert-teacher tflite fp32", "bert-student tflite fp32"]),
        (
            made.result(
                artifact=made.identity(bytes=None),
                memory=None,
                measurements=made.measurements(made.STUDENT, "tflite", "fp32", lengths=(32,))[2:],
            ),
            ["lengths differ: 32 in the new results, 64, 128, 256, 384 in the old"],
        ),
    ],
    ids=["threads", "devices", "models", "lengths"],
)
def test_nothing_comparable_is_said_clearly(new, words):
    with pytest.raises(DataError, match="there is nothing to compare: ") as told:
        compare(gather(new), gather(made.result()))
    for word in words:
        assert word in str(told.value)


def test_several_candidates_are_left_out_not_guessed():
    new = [
        made.result(runtime=parts.RuntimeInfo(name="ai-edge-litert", version=one)) for one in "34"
    ]
    found = compare(
        gather(*new, made.result(scheme="int8")), gather(OLD, made.result(scheme="int8"))
    )
    assert {change.row.key.scheme for change in found.changes} == {"int8"}
    (sentence,) = found.left_out
    assert "2 of that kind in the new results, 1 in the old" in sentence


def test_the_tables_part_change_from_noise_and_have_the_worst_first():
    changes_of = compare(gather(made.result(salt="new", factor=1.2, questions=100)), gather(OLD))
    changed, noise = comparison_tables(changes_of, 5.0)
    verdicts = [row[-1].text for row in changed.rows]
    order = ["regression", "worse", "better", "noise unknown"]
    assert verdicts == sorted(verdicts, key=order.index)
    assert verdicts.count("regression") == len(changes_of.regressions(5.0)) > 0
    assert changed.rows[verdicts.index("noise unknown")][-1].reason
    assert {row[-1].text for row in noise.rows} <= {"unchanged", "within noise"}
    assert len(changed.rows) + len(noise.rows) == len(changes_of.changes)


@pytest.mark.parametrize(
    ("text", "percent"), [("5%", 5.0), ("0.5 %", 0.5), (" 0% ", 0.0), ("1000%", 1000.0)]
)
def test_thresholds(text, percent):
    assert parse_threshold(text) == percent


@pytest.mark.parametrize(
    "text", ["5", "0.05", "-1%", "1001%", "nan%", "", "%", "5%%", "1e3%", "٥%"]
)
def test_bad_thresholds_are_refused_with_an_example(text):
    with pytest.raises(UserError, match="from 0% to 1000%, for example 5%"):
        parse_threshold(text)
