"""Tables say what the results say, and every figure says where it comes from."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.bench import parts
from ondevice.report import content, questions, speedup, tables, wording
from ondevice.report.content import EVIDENCE
from ondevice.report.speedup import find_teachers
from tests.report import made
from tests.report.conftest import gather


def device_of(*results):
    (device,) = gather(*results).devices.values()
    return device


def column(table, header):
    return [row[table.headers.index(header)] for row in table.rows]


def value(cell):
    return float(cell.text.replace(",", "").rstrip(" ×"))


def median(result, kind, length):
    (found,) = [one for one in result.measurements if (one.kind, one.length) == (kind, length)]
    return np.median(found.samples) / 1e6


def test_the_paper_s_table_equals_the_results():
    teacher = made.result(made.TEACHER, "torch", questions=200)
    student = made.result(made.STUDENT, "tflite", "int8", questions=200)
    table = tables.study_table(device_of(student, teacher))
    assert [cell.text for cell in column(table, "model")] == [made.TEACHER, made.STUDENT]
    for place, result in enumerate((teacher, student)):
        for length in made.LENGTHS:
            cell = column(table, f"{length} tokens, ms")[place]
            assert value(cell) == pytest.approx(median(result, "model_only", length), rel=5e-3)
        load = column(table, "load, ms")[place]
        assert value(load) == pytest.approx(median(result, "load_cold", None), rel=5e-3)
        assert value(column(table, "MB")[place]) == pytest.approx(
            result.artifact.bytes / 1e6, abs=0.05
        )
        peak = column(table, "peak MB (before load)")[place]
        assert value(peak) == pytest.approx(result.memory.peak_bytes / 1e6, abs=0.5)
        f1, whole = np.array(result.score.artifact.f1), np.array(result.score.teacher.f1)
        assert value(column(table, "F1")[place]) == pytest.approx(100 * f1.mean(), abs=0.05)
        kept = 100 * f1.mean() / whole.mean()
        assert value(column(table, "retention, %")[place]) == pytest.approx(kept, abs=0.05)
    assert [cell.text for cell in column(table, "parameters, M")] == ["109.5", "66.4"]


def test_every_figure_has_its_evidence_and_every_gap_its_reason(report):
    seen = set()
    for section in report.sections:
        for table in (*section.tables, *section.details):
            for row in table.rows:
                assert len(row) == len(table.headers)
                for cell in row:
                    if cell.number:
                        assert cell.evidence in EVIDENCE, (table.title, cell)
                        seen.add(cell.evidence)
                    if cell.evidence == "not run":
                        assert cell.reason
                        assert not any(char.isdigit() for char in cell.text)
    assert seen == {"phone", "host", "published", "not run"}


def test_an_interpreter_s_result_has_scores_and_never_times():
    interpreted = made.result(
        target="coreml", scheme="fp16", evidence="reference", score=made.score(made.STUDENT, "fp16")
    )
    table = tables.study_table(device_of(interpreted, made.result()))
    row = [cell.text for cell in column(table, "artifact")].index("coreml fp16")
    assert column(table, "F1")[row].evidence == "reference"
    gap = column(table, "384 tokens, ms")[row]
    assert (gap.evidence, gap.reason) == ("not run", "an interpreter is never timed")


def test_a_failed_golden_check_is_never_timed_and_says_so():
    failed = parts.GoldenCheck(status="failed", checked=3, max_abs=9.0, reason="differs by 9.0")
    table = tables.study_table(
        device_of(
            made.result(
                golden=failed, measurements=(), memory=None, status="partial", reason="differs"
            ),
            made.result(salt="x"),
        )
    )
    # The same artifact, once broken and once timed, is one row: the failure is told with it.
    (runtime,) = column(table, "runtime")
    assert "failed its golden check: differs by 9.0" in runtime.reason
    assert [cell.text for cell in column(table, "evidence")] == ["golden check FAILED"]


def test_a_failed_golden_check_is_told_once_and_above_the_table():
    reason = "differs by 9.0"
    failed = parts.GoldenCheck(status="failed", checked=3, max_abs=9.0, reason=reason)
    fields = {"status": "partial", "reason": reason, "measurements": (), "memory": None}
    device = device_of(made.result(golden=failed, **fields))
    (row,) = device.rows.values()
    assert wording.remarks(row) == f"failed its golden check: {reason}"
    (warning,) = content._warnings(device)
    assert warning == f"bert-student tflite fp32 failed its golden check: {reason}."


def test_lengths_that_an_artifact_does_not_serve_are_not_run():
    short = made.result(
        scheme="int8",
        artifact=made.identity(scheme="int8", lengths=(64,)),
        measurements=made.measurements(made.STUDENT, "tflite", "int8", lengths=(64,)),
    )
    table = tables.study_table(device_of(short, made.result()))
    row = [cell.text for cell in column(table, "artifact")].index("tflite int8")
    assert column(table, "64 tokens, ms")[row].evidence == "host"
    assert column(table, "384 tokens, ms")[row].reason == "the artifact serves 64 tokens"


def test_files_of_one_name_are_told_apart_by_hash():
    other = made.result(artifact=made.identity(sha256=made.sha("other")))
    table = tables.study_table(device_of(made.result(), other))
    names = [cell.text for cell in column(table, "artifact")]
    assert set(names) == {
        f"tflite fp32 {made.sha(made.STUDENT, 'tflite', 'fp32')[:8]}",
        f"tflite fp32 {made.sha('other')[:8]}",
    }


def test_speed_up_is_the_ratio_at_equal_lengths_on_the_same_runtime():
    results = [made.result(made.TEACHER), made.result(), made.result(made.TEACHER, "torch")]
    teacher, student, baseline = (made.took_turns(one, results) for one in results)
    device = device_of(teacher, student, baseline)
    same, torch = tables.speedup_tables(device, find_teachers(device))
    for table, other in ((same, teacher), (torch, baseline)):
        row = [cell.text for cell in column(table, "model")].index(made.STUDENT)
        for length in made.LENGTHS:
            cell = column(table, f"{length} tokens")[row]
            expected = median(other, "model_only", length) / median(student, "model_only", length)
            assert value(cell) == pytest.approx(expected, abs=0.006)
            low, high = map(float, cell.detail.split("–"))
            assert low <= value(cell) <= high
            assert cell.evidence == "host"
        assert "not in turn" not in table.caption


TURNS = {
    "another day": "not in turn: from different runs",
    "another time as well": "not in turn: from different runs",
    "with others": "not in turn: from different runs",
    "alone": "not in turn: timed alone",
}


@pytest.mark.parametrize("how", TURNS)
def test_a_speed_up_that_is_not_in_turn_has_no_interval_and_says_why(how):
    beside = f"{made.TEACHER} tflite fp32", f"{made.STUDENT} tflite fp32"
    teacher = made.result(made.TEACHER, protocol=made.in_turn(beside[1]))
    student = made.result(protocol=made.in_turn(beside[0]))
    more = []
    if how == "another day":
        student = student.model_copy(update={"created": "2026-02-01T12:00:00Z"})
    elif how == "another time as well":
        more = [made.result(salt="alone", created="2026-02-01T12:00:00Z")]
    elif how == "with others":
        student = made.result(protocol=made.in_turn("another tflite fp32"))
        teacher = made.result(made.TEACHER, protocol=made.in_turn("third tflite fp32"))
    else:
        student = made.result()
    device = device_of(teacher, student, *more)
    teachers = find_teachers(device, made.TEACHER) | {
        ("qa", name): made.TEACHER for name in (made.TEACHER, made.STUDENT)
    }
    (table,) = tables.speedup_tables(device, teachers)
    cells = column(table, "384 tokens")
    assert {(cell.detail, cell.reason) for cell in cells} == {("", TURNS[how])}
    assert 1.0 < value(cells[0]) < 3.0
    assert tables.APART in table.caption
    (sentence,) = content.headlines(device, teachers)
    assert f"times as fast as {made.TEACHER} on the same runtime ({TURNS[how]})," in sentence


def test_of_several_teachers_the_one_that_took_turns_is_the_reference():
    pair = [made.result(made.TEACHER, artifact=made.identity(made.TEACHER, sha256="f" * 64))]
    pair.append(made.result())
    earlier = made.result(made.TEACHER, salt="earlier", created="2026-01-01T12:00:00Z")
    earlier = made.took_turns(earlier, [earlier, pair[1]])
    device = device_of(earlier, *(made.took_turns(one, pair) for one in pair))
    assert len(device.rows) == 3
    (student,) = [row for row in device.rows.values() if row.key.model == made.STUDENT]
    found = speedup.references(device, student, find_teachers(device, made.TEACHER))
    assert found.same_runtime.key.sha256 == "f" * 64


def test_no_speed_up_across_threads_or_unequal_lengths():
    teacher = made.result(
        made.TEACHER, measurements=made.measurements(made.TEACHER, "tflite", "fp32", lengths=(64,))
    )
    four = made.PROTOCOL.model_copy(update={"threads": 4})
    device = device_of(teacher, made.result(), made.result(protocol=four))
    (table,) = tables.speedup_tables(device, find_teachers(device, made.TEACHER))
    (row,) = table.rows
    assert [cell.evidence for cell in row[4:]] == ["host", "not run", "not run", "not run"]
    assert row[-1].reason == "the teacher was not timed at 384 tokens"


@pytest.mark.parametrize(
    ("results", "teacher"),
    [
        ([("a", "tflite", {"score": "b"}), ("b", "tflite", {})], "b"),
        ([("a", "torch", {}), ("a", "tflite", {})], "a"),
        ([(made.STUDENT, "tflite", {}), (made.TEACHER, "tflite", {})], None),
        ([("a", "tflite", {})], None),
    ],
    ids=["named by the score", "run by PyTorch", "nothing links them", "none"],
)
def test_the_teacher_is_found(results, teacher):
    made_of = []
    for model, target, more in results:
        changes = {}
        if "score" in more:
            scored = made.score(made.STUDENT, "fp32", 20)
            changes["score"] = scored.model_copy(update={"teacher_sha256": made.sha(more["score"])})
        times = made.measurements(made.STUDENT, target, "fp32")
        identity = made.identity(model, target)
        made_of.append(
            made.result(made.STUDENT, target, artifact=identity, measurements=times, **changes)
        )
    found = find_teachers(device_of(*made_of))
    assert found == (
        {} if teacher is None else dict.fromkeys((("qa", model) for model, *_ in results), teacher)
    )


def test_models_whose_hash_is_not_known_are_not_one_family():
    """Two studies, in each of which something was not built: no hash is not a common hash."""
    unbuilt = {"evidence": "not run", "status": "partial", "reason": "not built", "memory": None}
    golden = parts.GoldenCheck(status="not_run", reason="not built")
    found = [made.result(made.TEACHER, "torch"), made.result(made.STUDENT)]
    for name in ("other", "another"):
        nameless = made.identity(name, params=10**9, sha256=None, model_sha256=None)
        found.append(made.result(artifact=nameless, golden=golden, **unbuilt))
    scored = made.score(made.STUDENT, "fp32", 20).model_copy(update={"teacher_sha256": None})
    found.append(made.result(made.TEACHER, "onnx", score=scored))
    device = device_of(*found)
    assert find_teachers(device)["qa", made.STUDENT] == made.TEACHER
    turns = made.PROTOCOL.model_copy(update={"interleaved_with": (f"{made.STUDENT} tflite fp32",)})
    device = device_of(made.result(made.TEACHER, protocol=turns), *found[1:4])
    assert find_teachers(device) == {
        ("qa", made.STUDENT): made.TEACHER,
        ("qa", made.TEACHER): made.TEACHER,
    }


def test_a_teacher_teaches_its_own_task_only():
    other = made.result(artifact=made.identity(made.STUDENT, task="classify"))
    device = device_of(made.result(made.TEACHER, "torch"), made.result(), other)
    assert find_teachers(device) == {
        ("qa", made.STUDENT): made.TEACHER,
        ("qa", made.TEACHER): made.TEACHER,
    }
    (table,) = tables.speedup_tables(device, find_teachers(device))
    assert len(table.rows) == 1


def test_a_teacher_that_is_not_here_is_no_other_model():
    scored = made.score(made.STUDENT, "fp32", 20).model_copy(
        update={"teacher_sha256": made.sha("elsewhere")}
    )
    turns = made.PROTOCOL.model_copy(update={"interleaved_with": ("large tflite fp32",)})
    large = made.result(artifact=made.identity("large", params=10**9), score=scored)
    device = device_of(large, made.result(protocol=turns, score=scored))
    assert find_teachers(device) == {}


def test_models_that_took_turns_belong_together():
    """Two studies in one directory: each student has its own teacher."""

    def one(model, other, size):
        turns = made.PROTOCOL.model_copy(update={"interleaved_with": (f"{other} tflite fp32",)})
        times = made.measurements(made.STUDENT, "tflite", "fp32")
        return made.result(
            artifact=made.identity(model, params=size), protocol=turns, measurements=times
        )

    device = device_of(
        one("big", "small", 100), one("small", "big", 60), one("t", "s", 50), one("s", "t", 10)
    )
    found, asked = find_teachers(device), find_teachers(device, "s")
    assert [found["qa", name] for name in ("big", "small", "t", "s")] == ["big", "big", "t", "t"]
    assert [asked["qa", name] for name in ("big", "small", "t", "s")] == ["big", "big", "s", "s"]
    (table,) = tables.speedup_tables(device, find_teachers(device))
    assert [cell.text for cell in column(table, "against")] == ["big tflite fp32", "t tflite fp32"]


def test_published_figures_stand_apart_and_have_no_ratios():
    """Whatever lengths they name: what else was equal is not known."""
    found = gather(
        made.result(made.TEACHER, device=made.PHONE, evidence="published"),
        made.result(made.STUDENT, device=made.PHONE, evidence="published"),
        made.result(made.TEACHER, device=made.PHONE),
    )
    phone, cited = found.sorted_devices()
    assert (phone.key.title, cited.key.title) == (
        "Example Phone 8, Android 14",
        "Example Phone 8, Android 14 (published)",
    )
    assert tables.speedup_tables(cited, find_teachers(cited)) == []
    assert content.headlines(cited, find_teachers(cited)) == []
    evidence = {cell.evidence for cell in column(tables.study_table(cited), "384 tokens, ms")}
    assert evidence == {"published"}


def test_figures_without_samples_have_no_interval():
    told = parts.Measurement(
        kind="model_only", length=64, reported=parts.ReportedTimes(count=9, median=5_000_000)
    )
    table = tables.study_table(device_of(made.result(measurements=(told,))))
    (cell,) = column(table, "64 tokens, ms")
    assert (cell.text, cell.detail) == ("5.00", "")
    (times,) = tables.times_table(device_of(made.result(measurements=(told,)))).rows
    assert [cell.evidence for cell in times[-3:]] == ["host", "not run", "not run"]


def test_many_runs_without_samples_are_not_called_few():
    told = parts.Measurement(
        kind="model_only", length=64, reported=parts.ReportedTimes(count=50, median=5_000_000)
    )
    results = [made.result(made.TEACHER), made.result(measurements=(told,))]
    device = device_of(*(made.took_turns(one, results) for one in results))
    (table,) = tables.speedup_tables(device, find_teachers(device, made.TEACHER))
    (cell,) = column(table, "64 tokens")
    assert cell.reason == "the source gives no samples, so there is no interval"


def test_peak_memory_stands_beside_what_there_was_before_the_load():
    memory = parts.MemoryInfo(peak_bytes=300_000_000, before_load_bytes=90_400_000, method="VmHWM")
    table = tables.study_table(device_of(made.result(memory=memory)))
    assert [cell.text for cell in column(table, "peak MB (before load)")] == ["300 (90)"]


def test_xnnpack_is_the_cpu_and_nothing_falls_back_from_it():
    for accelerator, fell in (("xnnpack", False), ("gpu", True)):
        runtime = parts.RuntimeInfo(name="litert", accelerator=accelerator)
        device = device_of(made.result(device=made.PHONE, runtime=runtime, cpu_fallback=True))
        (row,) = device.rows.values()
        assert any("fell back" in one for one in row.remarks.counts) is fell


def test_reported_scores_have_no_retention():
    score = parts.ScoreInfo(reported_f1=88.5, reported_em=81.2)
    table = questions.score_table(device_of(made.result(score=score)))
    (row,) = table.rows
    told = dict(zip(table.headers, row, strict=True))
    assert (told["F1"].text, told["EM"].text) == ("88.5", "81.2")
    assert told["retention, %"].evidence == told["questions"].evidence == "not run"
