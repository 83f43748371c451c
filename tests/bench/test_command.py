"""``ondevice bench``: one sentence for what is wrong, a table or a document for what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ondevice import bench, cli
from ondevice.bench import host
from ondevice.bench.parts import Measurement, ReportedTimes
from ondevice.bench.results import read_result
from ondevice.errors import GateError
from tests.requirements import need
from tests.verify.published import published  # noqa: F401 - a fixture

EXAMPLE = read_result(Path(__file__).parent / "data" / "example.json")


def changed(result, **groups):
    """Return a result with some fields of its groups, or whole groups, replaced."""
    new = {
        name: getattr(result, name).model_copy(update=value) if isinstance(value, dict) else value
        for name, value in groups.items()
    }
    return result.model_copy(update=new)


TEACHER = changed(
    EXAMPLE,
    artifact={"target": "torch", "scheme": "fp32", "sha256": "e5" * 32},
    score=None,
    measurements=tuple(
        one.model_copy(update={"samples": tuple(4 * value for value in one.samples)})
        for one in EXAMPLE.measurements
    ),
)
ABSENT = changed(
    EXAMPLE,
    artifact={"target": "coreml", "sha256": "f6" * 32},
    evidence="not run",
    status="partial",
    reason="Core ML exists on Apple systems only",
    measurements=(),
    traffic=None,
    memory=None,
    score=None,
)


@pytest.fixture
def device(monkeypatch):
    """A host whose run keeps given results, and notes what it was asked."""

    class Device:
        results = (EXAMPLE,)
        asked = None

        def run(self, bundles, options, *, identifier, keep, progress):
            self.asked = (bundles, options, identifier)
            for result in self.results:
                keep(result)
            return list(self.results)

    made = Device()
    monkeypatch.setattr(host, "run", made.run)
    return made


def run(capsys, tmp_path, *arguments):
    code = cli.main(["bench", "b1", "--out", str(tmp_path / "out"), *arguments])
    return code, capsys.readouterr().out


def test_the_table_shows_medians_speed_up_and_score(device, capsys, tmp_path):
    device.results = (TEACHER, EXAMPLE)
    code, out = run(capsys, tmp_path)
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split()[:3] == ["model", "target", "scheme"]
    assert [row.split()[1] for row in rows[:4]] == ["torch", "torch", "tflite", "tflite"]
    cells = rows[2].split()
    assert cells[:7] == ["example", "tflite", "int8", "23.3", "41.2", "98", "61"]
    assert "128" in cells
    assert "4.00" in cells
    assert "1.00" in rows[0].split()
    assert "77.85 (93.8 %)" in rows[2]  # the mean of the example's F1
    assert "phone" in rows[2]
    assert "raw samples in" in rows[-1]
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_figures_without_samples_are_shown_without_an_interval(device, capsys, tmp_path):
    reported = (
        Measurement(kind="model_only", length=384, reported=ReportedTimes(mean=1_118_000_000)),
        Measurement(
            kind="end_to_end", length=384, reported=ReportedTimes(median=7_000_000, p90=8_000_000)
        ),
    )
    device.results = (changed(EXAMPLE, measurements=reported, memory=None, score=None),)
    cells = run(capsys, tmp_path)[1].splitlines()[1].split()
    assert cells[4:] == ["–", "–", "–", "384", "1118.0", "–", "7.0", "–", "–", "phone"]


def test_json_is_one_document_and_nothing_else(device, capsys, tmp_path):
    code, out = run(capsys, tmp_path, "--json")
    (one,) = json.loads(out)["results"]
    assert code == 0
    assert read_result(Path(one["file"])) == EXAMPLE
    assert one["result"] == EXAMPLE.model_dump(mode="json")


def test_what_was_not_run_is_said_and_is_no_failure(device, capsys, tmp_path):
    device.results = (ABSENT, EXAMPLE)
    code, out = run(capsys, tmp_path)
    assert code == 0
    assert "not run: example coreml int8: Core ML exists on Apple systems only" in out
    assert out.splitlines()[1].split()[4:] == ["–"] * 9 + ["not", "run"]


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_if_nothing_ran_it_is_said_and_not_done(device, capsys, tmp_path, words):
    device.results = (ABSENT, changed(ABSENT, artifact={"scheme": "fp16"}))
    code = cli.main(["bench", "b1", "--out", str(tmp_path / "out"), *words])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out  # what there is
    (sentence,) = captured.err.splitlines()
    assert sentence == (
        "ondevice: nothing was measured: example coreml int8: Core ML exists on Apple systems only"
    )
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_what_ended_early_is_said_and_is_a_failure(device, capsys, tmp_path):
    broken = changed(EXAMPLE, status="partial", reason="its process was ended by SIGSEGV")
    device.results = (broken,)
    code, out = run(capsys, tmp_path)
    assert code == 3
    assert "PARTIAL: example tflite int8: its process was ended by SIGSEGV" in out


def test_a_later_result_replaces_an_unfinished_one(device, capsys, tmp_path):
    device.results = (changed(EXAMPLE, status="partial", reason="interrupted during: x"), EXAMPLE)
    code, out = run(capsys, tmp_path)
    assert code == 0
    assert "PARTIAL" not in out
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_later_run_replaces_nothing(device, capsys, tmp_path):
    """Also one that is interrupted: the complete one is what it was."""
    run(capsys, tmp_path)
    later = EXAMPLE.model_copy(update={"created": "2026-03-01T12:00:00Z"})
    device.results = (changed(later, status="partial", reason="interrupted during: x"),)
    assert run(capsys, tmp_path)[0] == 3
    kept = [read_result(path) for path in sorted((tmp_path / "out").iterdir())]
    assert sorted(one.status for one in kept) == ["complete", "partial"]
    device.results = (later,)
    assert run(capsys, tmp_path)[0] == 0
    kept = [read_result(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [one.status for one in kept] == ["complete", "complete"]


def test_names_and_notes_reach_the_table_as_one_line_with_an_end(device, capsys, tmp_path):
    odd = {"model": "a\x9b31mb" + "x" * 190}
    notes = tuple(f"{number}: \u202egnihton\x1b[2J" + "y" * 1900 for number in range(90))
    device.results = (
        changed(EXAMPLE, artifact=odd, notes=notes, status="partial", reason="\x9b2J" + "z" * 1900),
    )
    out = run(capsys, tmp_path)[1]
    assert not {"\x9b", "\x1b", "\u202e"} & set(out)
    assert max(len(line) for line in out.splitlines()) < 700
    assert "70 more notes are in the documents" in out


def test_a_golden_that_was_not_run_is_said(device, capsys, tmp_path):
    device.results = (changed(EXAMPLE, golden={"status": "not_run", "reason": "too old a build"}),)
    code, out = run(capsys, tmp_path)
    assert code == 0
    assert "golden check not run: example tflite int8: too old a build" in out


def test_few_runs_are_called_few(device, capsys, tmp_path):
    device.results = (changed(EXAMPLE, protocol={"iterations": 5}),)
    assert "fewer than 50 timed runs" in run(capsys, tmp_path)[1]
    device.results = (EXAMPLE,)
    assert "fewer than 50 timed runs" not in run(capsys, tmp_path)[1]


def test_a_failed_golden_is_exit_code_3_and_prints_no_table(device, capsys, tmp_path):
    def refuse(*_, **__):
        raise GateError("x onnx fp32 does not give its goldens' answers, so nothing was timed: y")

    device.run = refuse
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "run", refuse)
        assert cli.main(["bench", "b1", "--out", str(tmp_path / "out")]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ondevice: x onnx fp32 does not give its goldens' answers")
    assert not (tmp_path / "out").exists()


def test_the_words_reach_the_device(device, capsys, tmp_path):
    data = tmp_path / "dev.json"
    data.write_text("{}")
    arguments = (
        "--iterations 60 --threads 4 --lengths 384,128,128 --questions 7 --timeout 9".split()
    )
    words = ["--baseline", "t", "--data", str(data), "--device", "host:abc", *arguments]
    cli.main(["bench", "b1", "b2", "--out", str(tmp_path / "out"), *words])
    bundles, options, identifier = device.asked
    assert bundles == [Path("b1"), Path("b2")]
    assert identifier == "abc"
    assert options == bench.BenchOptions(
        baseline="t",
        data=data,
        iterations=60,
        threads=4,
        lengths=(128, 384),
        questions=7,
        seconds=9.0,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "'nowhere' is not a bundle"),
        ([], "the following arguments are required: BUNDLE"),
        (["b", "--device", "phone"], "unknown device 'phone'; devices: host, coreml, android, ios"),
        (["b", "--iterations", "0"], "--iterations must be from 1 to 100000, not 0"),
        (["b", "--iterations", "100001"], "--iterations must be from 1 to 100000, not 100001"),
        (["b", "--threads", "-1"], "--threads must be from 1 to 4096, not -1"),
        (["b", "--threads", "5000"], "--threads must be from 1 to 4096, not 5000"),
        (
            ["b", "--questions", "-1", "--data", "file"],
            "--questions must be at least 0, not -1",
        ),
        (["b", "--questions", "7"], "--questions would have no effect without --data FILE"),
        (["b", "--delegate", "gpu"], "--delegate is for --runner benchmark_model with --device"),
        (
            ["b", "--device", "ios", "--threads", "2"],
            "--threads would have no effect here: the app",
        ),
        (
            ["b", "--device", "android", "--app", "x", "--lengths", "8", "--threads", "4"],
            "--threads and --lengths would have no effect here: the app on the phone",
        ),
        (
            ["b", "--import", "f", "--baseline", "t"],
            "--baseline would have no effect with --import",
        ),
        (["b", "--import", "f", "--data", "d"], "--data would have no effect with --import"),
        *(
            (
                ["b", "--import", "f", f"--{name}", value],
                f"--{name} would have no effect with --import, which measures nothing; leave it",
            )
            for name, value in {
                "threads": "2",
                "lengths": "8",
                "iterations": "50",
                "runner": "file",
                "delegate": "gpu",
                "app": "x",
                "questions": "1",
                "timeout": "600",
            }.items()
        ),
        (["b", "--import", "f", "--device", "host"], "--device would have no effect with --import"),
        (["b", "--timeout", "nan"], "--timeout must be a number of seconds, not nan"),
        (["b", "--timeout", "0"], "--timeout must be a number of seconds, not 0"),
        (["b", "--lengths", "a"], "--lengths takes whole numbers with commas"),
        (["b", "--lengths", ""], "--lengths takes whole numbers with commas"),
        (["b", "--data", "nowhere.json"], "no file 'nowhere.json' for --data"),
        (["b", "--runner", "nowhere"], "no file 'nowhere' for --runner"),
        (["b", "--out", "file"], "'file' is a file; choose a directory with --out"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert cli.main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_device_names_a_module_of_this_package():
    for device in bench.DEVICES.values():
        assert device.module.startswith("ondevice.bench.")
        assert device.summary


def test_help_and_errors_import_nothing_heavy():
    code = (
        "import sys\nfrom ondevice import cli\ncli.main(['bench', 'nowhere'])\n"
        "try: cli.main(['bench', '--help'])\nexcept SystemExit: pass\n"
        "print(set(sys.modules) & {'torch', 'transformers', 'onnxruntime', 'matplotlib'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "is not a bundle" in done.stderr


@pytest.mark.slow
def test_a_real_bundle_from_the_command_line(published, tmp_path):  # noqa: F811
    need("onnx")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ondevice.bench", str(published("onnx", "fp32"))]
    command += ["--iterations", "1", "--lengths", "16", "--threads", "1", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "host" in done.stdout.splitlines()[1]
    (path,) = out.iterdir()
    assert read_result(path).status == "complete"
