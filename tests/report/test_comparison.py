"""What changed between two sets of results, and what of it is noise."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.bench import parts
from ondevice.errors import DataError, UserError
from ondevice.report.comparison import compare, parse_threshold
from ondevice.report.comparison_tables import comparison_tables
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
    timed = [one for one in found if one.unit == "ms" and one.judged]
    # Medians of two loads and four kinds, p90 of two of these.
    assert len(timed) == 2 + 6 * len(made.LENGTHS)
    # 95 % intervals: of 26 figures one or two lie outside by chance.
    assert sum(one.outside_noise for one in timed) <= 5
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


def slower_tail(result, share=0.26, factor=1.3):
    """Return a result whose slowest runs of the model alone are slower still."""
    measured = []
    for one in result.measurements:
        if one.kind == "model_only":
            slow = np.quantile(one.samples, 1 - share)
            samples = tuple(int(factor * ns) if ns >= slow else ns for ns in one.samples)
            one = one.model_copy(update={"samples": samples})
        measured.append(one)
    return result.model_copy(update={"measurements": tuple(measured)})


def test_a_slower_tail_is_a_regression_and_p99_is_for_information():
    found = compare(gather(slower_tail(made.result(salt="new"))), gather(OLD))
    by_name = {change.what: change for change in found.changes}
    median, p90, p99 = (by_name[f"model only, 384 tokens{one}"] for one in ("", ", p90", ", p99"))
    assert not median.regressed(5.0)
    assert p90.regressed(5.0)
    assert p99.percent > 15
    assert (p99.verdict, p99.regressed(0.0)) == ("for information", False)
    assert "decode, 384 tokens, p90" not in by_name
    assert "load, cold, p90" not in by_name
    assert {one.split(", ")[-1].split(":")[0] for one in found.regressions(5.0)} == {"p90"}
    *_, tails = comparison_tables(found, 5.0)
    assert {row[0].text.split(", ")[-1] for row in tails.rows} == {"p99"}


def test_the_tail_of_few_runs_is_not_judged():
    def few(salt):
        times = made.measurements(made.STUDENT, "tflite", "fp32", count=49, salt=salt)
        return made.result(measurements=times)

    found = compare(gather(slower_tail(few("new"))), gather(few("old")))
    (p90,) = [one for one in found.changes if one.what == "model only, 384 tokens, p90"]
    assert (p90.verdict, p90.unknown) == ("noise unknown", "too few runs")
    assert "(too few runs)" in found.warning(5.0)


def slower_questions(factor, questions=120, policy="shortest_bucket"):
    """Return a result whose real questions took longer under one rule of padding."""
    traffic = made.traffic(made.STUDENT, "tflite", "fp32", questions)
    random = made.draw("again")
    policies = []
    for one in traffic.policies:
        each = 1 + 0.02 * random.standard_normal(questions)
        times = np.array(one.samples) * each * (factor if one.policy == policy else 1.0)
        policies.append(one.model_copy(update={"samples": tuple(times.astype(int).tolist())}))
    return made.result(traffic=traffic.model_copy(update={"policies": tuple(policies)}))


@pytest.mark.parametrize("policy", ["shortest_bucket", "longest"])
def test_slower_real_questions_are_a_regression(policy):
    """Questions differ from each other by far more than 8 %: each is held against itself."""
    old = made.result(traffic=made.traffic(made.STUDENT, "tflite", "fp32"))
    found = compare(gather(slower_questions(1.08, policy=policy)), gather(old))
    words = {"shortest_bucket": "shortest bucket", "longest": "always the longest"}[policy]
    what = f"120 questions of dev.json, {words}"
    told = {one.split(", ", 2)[2].rsplit(": ", 1)[0] for one in found.regressions(4.0)}
    assert told == {f"2 cores, {what}", f"2 cores, {what}, p90"}
    by_name = {change.what: change for change in found.changes}
    assert by_name[what].percent == pytest.approx(8, abs=2)
    assert by_name[f"{what}, p99"].verdict == "for information"
    same = compare(gather(slower_questions(1.0)), gather(old))
    assert same.regressions(4.0) == []


def test_other_real_questions_do_not_compare():
    old = made.result(traffic=made.traffic(made.STUDENT, "tflite", "fp32"))
    found = compare(gather(slower_questions(2.0, questions=60)), gather(old))
    assert not any("questions" in change.what for change in found.changes)
    assert [sentence.split(": ", 2)[2] for sentence in found.left_out] == [
        "in the {} results only: {}".format(
            side,
            "; ".join(
                f"{count} questions of dev.json, {policy} (file {made.sha('dev')[:8]})"
                for policy in ("always the longest", "shortest bucket")
            ),
        )
        for side, count in (("new", 60), ("old", 120))
    ]


def test_what_could_not_be_judged_is_counted_by_cause():
    def of(ms, **changes):
        told = parts.Measurement(
            kind="model_only", length=64, reported=parts.ReportedTimes(count=50, median=ms)
        )
        once = parts.Measurement(kind="load_cold", samples=(ms,))
        memory = parts.MemoryInfo(peak_bytes=10 * ms, method="VmHWM")
        return made.result(measurements=(told, once), memory=memory, **changes)

    found = compare(gather(of(9_000_000, questions=20)), gather(of(5_000_000, questions=200)))
    assert {one.what: one.unknown for one in found.unjudged(0.0)} == {
        "model only, 64 tokens": "figures without samples",
        "load, cold": "too few runs",
        "peak memory": "too few runs",
        "F1": "other questions",
    }
    assert found.warning(0.0) == (
        "4 figures changed by more than 0 % but could not be judged (figures without samples: 1;"
        " other questions: 1; too few runs: 2)"
    )
    changed, *_ = comparison_tables(found, 0.0)
    assert set(changed.reasons()) == {
        "too few runs to tell change from noise",
        "the source gives figures without samples, so their noise is not known",
        "other questions were asked: F1 does not compare",
    }
    bare = made.result(score=parts.ScoreInfo(reported_f1=50.0))
    assert changes(bare)["F1"].unknown == "figures without samples"


def test_hosts_with_other_cores_are_not_compared():
    large = made.HOST.model_copy(update={"cores": 64, "os_version": "6.2"})
    with pytest.raises(DataError, match="nothing to compare") as told:
        compare(gather(made.result(device=large)), gather(OLD))
    assert "Linux 6.2, 64 cores is in the new results only" in str(told.value)
    assert "Linux 6.1, 2 cores is in the old results only" in str(told.value)


@pytest.mark.parametrize("stopped", [False, True], ids=["runs", "does not run"])
def test_another_task_is_another_thing(stopped):
    """Two tasks of one checkpoint: the one is never held against the other."""
    other = made.identity(task="classify", sha256=made.sha("classify"))
    fields = {"artifact": other, "factor": 3.0}
    if stopped:
        fields |= {"status": "partial", "reason": "it does not start", "measurements": ()}
        fields |= {"memory": None, "evidence": "not run"}
    beside = made.result(made.TEACHER)
    found = compare(gather(made.result(**fields), beside), gather(OLD, beside))
    (missing,) = found.broken
    assert "(qa, " in missing
    assert missing.endswith("it is not among the new results")
    assert {change.row.key.model for change in found.changes} == {made.TEACHER}
    assert any("tflite fp32 (classify, " in one and "new results" in one for one in found.left_out)
    assert any("tflite fp32 (qa, " in one and "old results" in one for one in found.left_out)


def test_a_regression_names_what_tells_its_row_from_others():
    four = made.PROTOCOL.model_copy(update={"threads": 4})
    other = made.identity(task="classify", sha256=made.sha("classify"))
    old = [made.result(), made.result(protocol=four), made.result(artifact=other)]
    new = [
        made.result(salt="new"),
        made.result(protocol=four, factor=1.5),
        made.result(artifact=other, factor=1.5, salt="new"),
    ]
    found = compare(gather(*new), gather(*old))
    named = {one.split(" on ")[0] for one in found.regressions(20.0)}
    ids = made.sha(made.STUDENT, "tflite", "fp32")[:8], made.sha("classify")[:8]
    assert named == {
        f"bert-student tflite fp32 qa 4 threads {ids[0]}",
        f"bert-student tflite fp32 classify 2 threads {ids[1]}",
    }


def test_times_of_other_turns_are_not_compared():
    def turns(words, **changes):
        protocol = made.PROTOCOL.model_copy(update={"between_turns": words})
        return made.result(protocol=protocol, **changes)

    old = turns("waiting, 100 ms apart")
    found = compare(gather(turns("stopped (SIGSTOP), 10 ms apart", factor=2.0)), gather(old))
    assert {change.what for change in found.changes} == {"size", "peak memory"}
    (sentence,) = found.left_out
    assert sentence.endswith(
        "between turns: stopped (SIGSTOP), 10 ms apart in the new results, waiting, 100 ms apart in"
        " the old; times are not compared"
    )
    # Older results do not tell.
    found = compare(gather(old), gather(OLD))
    assert any(change.unit == "ms" for change in found.changes)
    assert any("not told in the old; times are compared" in one for one in found.left_out)
    assert compare(gather(old), gather(old)).left_out == ()


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


def test_wrong_answers_are_a_regression_beside_a_good_run_and_without_an_old_one():
    failed = parts.GoldenCheck(status="failed", checked=3, reason="differs by 9.0")
    fields = {"golden": failed, "status": "partial", "reason": "differs by 9.0"}
    # What fails before its runtime is known has the target in its place: another row.
    fields |= {"measurements": (), "memory": None, "runtime": parts.RuntimeInfo(name="tflite")}
    wrong = made.result(**fields)
    beside = made.result("bert-teacher")
    for old in (OLD, beside):
        found = compare(gather(wrong, OLD, beside), gather(old, beside))
        (sentence,) = found.regressions(1000.0)
        assert "it fails its golden check now: differs by 9.0" in sentence
    assert compare(gather(wrong, OLD), gather(wrong, OLD)).regressions(1000.0) == []


def test_an_artifact_that_is_gone_is_a_regression():
    beside = made.result("bert-teacher")
    (sentence,) = compare(gather(beside), gather(OLD, beside)).regressions(1000.0)
    assert "bert-student tflite fp32" in sentence
    assert sentence.endswith("it is not among the new results")
    # One that never ran is not missed, nor is one that is there in another way.
    never = made.result(measurements=(), memory=None, status="partial", reason="x")
    assert compare(gather(beside), gather(never, beside)).broken == ()
    four = made.result(protocol=made.PROTOCOL.model_copy(update={"threads": 4}))
    assert compare(gather(four, beside), gather(OLD, beside)).broken == ()


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
    assert {change.device for change in found.changes} == {"Example Phone 8, Android, 8 cores"}


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (
            made.result(protocol=made.PROTOCOL.model_copy(update={"threads": 4})),
            ["4 threads) is in the new", "2 threads) is in the old"],
        ),
        (
            made.result(device=made.PHONE),
            [
                "Example Phone 8, Android 14, 8 cores is in the new",
                "Example CPU @ 2.0 GHz, Linux 6.1, 2 cores is in the old",
            ],
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
    changed, noise, tails = comparison_tables(changes_of, 5.0)
    verdicts = [row[-1].text for row in changed.rows]
    order = ["regression", "worse", "better", "noise unknown"]
    assert verdicts == sorted(verdicts, key=order.index)
    assert verdicts.count("regression") == len(changes_of.regressions(5.0)) > 0
    assert changed.rows[verdicts.index("noise unknown")][-1].reason
    assert {row[-1].text for row in noise.rows} <= {"unchanged", "within noise"}
    assert {row[-1].text for row in tails.rows} == {"for information"}
    shown = len(changed.rows) + len(noise.rows) + len(tails.rows)
    assert shown == len(changes_of.changes)


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
