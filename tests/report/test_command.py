"""``ondevice report``: one sentence for what is wrong, the right exit code, CI's needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ondevice import cli
from ondevice.bench.results import write_result
from ondevice.report import plots
from tests import requirements
from tests.report import made

EXAMPLE = Path(__file__).parents[1] / "bench" / "data" / "example.json"


@pytest.fixture(autouse=True)
def _plots(request, monkeypatch):
    """Draw only where a test is about that: it is most of the time."""
    requirements.need("report")
    if "example" not in request.node.name:
        monkeypatch.setattr(plots, "draw", lambda *arguments: [])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three runs: old, another of the same, and one that is 20 % slower."""
    root = tmp_path_factory.mktemp("results")
    for name, factor in (("old", 1.0), ("same", 1.0), ("slow", 1.2)):
        write_result(root / name, made.result(salt=name, factor=factor))
    return root


def run(*arguments):
    return cli.main(["report", *map(str, arguments)])


def test_the_example_of_the_contract_becomes_a_report(tmp_path, capsys):
    assert run(EXAMPLE, "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "Example Phone, Android 14" in out
    # Medians of the document's samples, at both lengths.
    document = json.loads(EXAMPLE.read_text())
    for measured in document["measurements"]:
        if measured["kind"] == "model_only":
            ordered = sorted(measured["samples"])
            median = (ordered[24] + ordered[25]) / 2e6
            assert f"{median:.1f}" in out
    assert str(tmp_path / "out" / "report.html") in out
    html = (tmp_path / "out" / "report.html").read_text()
    assert "EXAMPLE, made up by hand: no such phone was measured" in html
    assert (tmp_path / "out" / "plots" / "device-1-latency.png").is_file()


def test_what_could_not_be_judged_is_said(tmp_path, capsys):
    """One run without samples is 20 % slower: no regression, and not nothing either."""
    told = {
        name: made.parts.Measurement(
            kind="model_only", length=64, reported=made.parts.ReportedTimes(count=50, mean=mean)
        )
        for name, mean in (("old", 5_000_000), ("new", 6_000_000))
    }
    for name, measured in told.items():
        write_result(tmp_path / name, made.result(measurements=(measured,)))
    arguments = (tmp_path / "new", "--against", tmp_path / "old", "--fail-on", "5%")
    assert run(*arguments, "--out", tmp_path / "out") == 0
    sentence = "1 figure changed by more than 5 % but could not be judged (figures without samples)"
    assert sentence in capsys.readouterr().err
    assert f"{sentence}." in (tmp_path / "out" / "report.md").read_text()


def test_python_m_is_the_same(results, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ondevice.report", results / "old", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, done.stderr)
    assert (tmp_path / "out" / "report.md").is_file()


def test_json_is_one_document(results, tmp_path, capsys):
    arguments = (results / "slow", "--against", results / "old", "--fail-on", "5%", "--json")
    assert run(*arguments, "--out", tmp_path / "out") == 3
    document = json.loads(capsys.readouterr().out)
    assert document["out"] == str(tmp_path / "out")
    assert any("model only, 384 tokens: +" in one for one in document["regressions"])
    assert document["sections"][0]["key"] == "changes"


def test_a_regression_ends_with_3_and_leaves_the_report(results, tmp_path, capsys):
    arguments = (results / "slow", "--against", results / "old", "--fail-on", "5%")
    assert run(*arguments, "--out", tmp_path / "out") == 3
    assert "regression: bert-student tflite fp32 on Example CPU" in capsys.readouterr().err
    assert "beyond 5 % and outside the noise" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("new", "threshold"), [("slow", "50%"), ("same", "5%"), ("slow", None), ("old", "0%")]
)
def test_no_regression_ends_with_0(new, threshold, results, tmp_path):
    more = () if threshold is None else ("--fail-on", threshold)
    arguments = (results / new, "--against", results / "old", *more)
    assert run(*arguments, "--out", tmp_path / "out") == 0
    assert "Changes since the older results" in (tmp_path / "out" / "report.md").read_text()


def test_a_broken_file_is_skipped_and_told(results, tmp_path, capsys):
    (tmp_path / "broken.json").write_text("{")
    assert run(results / "old", tmp_path / "broken.json", "--out", tmp_path / "out") == 0
    assert "skipped: broken.json: is not a benchmark result" in capsys.readouterr().err
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## Skipped files" in text
    assert "| broken.json | is not a benchmark result" in text


def test_skipped_files_of_the_older_results_are_told_and_listed(results, tmp_path, capsys):
    old = tmp_path / "old"
    write_result(old, made.result(salt="old"))
    for number in range(60):
        (old / f"{number:02d}.json").write_text("{" + " " * number)
    arguments = (results / "same", "--against", old, "--fail-on", "50%")
    assert run(*arguments, "--out", tmp_path / "out") == 0
    error = capsys.readouterr().err
    assert "old: skipped: 00.json: is not a benchmark result" in error
    assert "old: skipped: 10 more" in error
    text = (tmp_path / "out" / "report.md").read_text()
    changes = text.split("## Changes since the older results")[1].split("\n## ")[0]
    assert "60 files of the older results could not be used." in changes
    assert "### Skipped files of the older results" in changes
    assert "| 49.json | is not a benchmark result" in changes
    assert "The first 50 are named; 10 more are not." in changes
    # They are not the new ones.
    assert "## Skipped files" not in text.replace("### ", "")


def test_that_something_was_not_compared_is_said(results, tmp_path, capsys):
    write_result(tmp_path / "new", made.result(salt="new"))
    write_result(tmp_path / "new", made.result(scheme="int8"))
    arguments = (tmp_path / "new", "--against", results / "old", "--fail-on", "50%")
    assert run(*arguments, "--out", tmp_path / "out") == 0
    assert "not compared: 1 thing, listed in the report" in capsys.readouterr().err


WRONG = {
    "no path": (["{tmp}/nothing", "--out", "{tmp}/out"], "does not exist"),
    "nothing usable": (["{tmp}/broken", "--out", "{tmp}/out"], "no usable result in "),
    "no file": (["{tmp}/empty", "--out", "{tmp}/out"], "there is no result in "),
    "threshold alone": (["{old}", "--out", "{tmp}/out", "--fail-on", "5%"], "--against OLD"),
    "bad threshold": (
        ["{old}", "--out", "{tmp}/out", "--against", "{old}", "--fail-on", "lots"],
        "takes a percentage from 0% to 1000%, for example 5%, not 'lots'",
    ),
    "unknown teacher": (
        ["{old}", "--out", "{tmp}/out", "--teacher", "bert"],
        "--teacher 'bert' is in no result; models: bert-student",
    ),
    "foreign directory": (["{old}", "--out", "{tmp}/broken"], "is not an earlier report"),
    "nothing comparable": (
        ["{old}", "--out", "{tmp}/out", "--against", str(EXAMPLE)],
        "there is nothing to compare: Example CPU @ 2.0 GHz, Linux 6.1, 2 cores is in the new"
        " results only",
    ),
    "old is broken": (
        ["{old}", "--out", "{tmp}/out", "--against", "{tmp}/broken"],
        "no usable result in ",
    ),
    "no out": (["{old}"], "--out"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_user_can_fix_is_one_sentence_and_2(what, results, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "one.json").write_text("{")
    arguments, sentence = WRONG[what]
    assert run(*(one.format(tmp=tmp_path, old=results / "old") for one in arguments)) == 2
    out, error = capsys.readouterr()
    assert sentence in error
    assert error.strip().splitlines()[-1].startswith("ondevice: ")
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_help_needs_no_heavy_package():
    code = (
        "import sys\nfrom ondevice import cli\n"
        "try:\n    cli.main(['report', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'matplotlib', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "--fail-on" in done.stdout
