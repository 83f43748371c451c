"""``benchmarks/schemes.py``: how a row is told, and one small run."""

from __future__ import annotations

import json

import pytest

from ondevice.bench import protocol
from ondevice.search import document
from tests.requirements import need
from tests.search.conftest import write_questions
from tests.search.made import contender


def test_what_verify_found_is_one_cell(load):
    schemes = load("schemes")
    rows = [{"check": f"c{n}", "status": "passed"} for n in range(3)]
    assert schemes.outcome([]) == "–"
    assert schemes.outcome(rows) == "passed (3)"
    assert schemes.outcome([*rows, {"check": "d", "status": "not_run"}]) == "passed (3, 1 not run)"
    assert schemes.outcome([*rows, {"check": "task: F1", "status": "failed"}]) == "FAILED: task: F1"


def test_what_has_no_figure_is_not_made_up(load):
    schemes = load("schemes")
    one = contender("int8", 20.0, f1=0.7, own=0.72)
    one.untimed = "it is interpreted here"
    one.evidence = "reference"
    row = schemes.row_of(document.facts(one) | {"verify": []})
    assert row[:3] == ("onnx", "int8", "20.00")
    assert row[4].startswith("+2.00 [+2.00")
    assert row[5].startswith("97.2 [97.2")
    assert row[7:9] == ("not run", "not run")
    assert row[10] == "reference"
    broken = document.facts(contender("int4", None)) | {"verify": []}
    assert schemes.row_of(broken)[2:] == ("not published", *["–"] * 9)


@pytest.mark.slow
def test_a_small_run_over_onnx(run, tiny, tmp_path, capsys, monkeypatch):
    need("onnx")
    # Five fresh processes for each bundle are bench's own tests' business.
    monkeypatch.setattr(protocol, "COLD_LOADS", 1)
    data = write_questions(tmp_path / "questions.json")
    words = ["--model", tiny("bert", "qa"), "--targets", "onnx", "--schemes", "fp32"]
    words += ["--lengths", 32, "--data", data, "--examples", 30, "--out", tmp_path / "out"]
    results = tmp_path / "results.json"
    assert run("schemes", *words, "--results", results) == 0
    (row,) = json.loads(results.read_text())["rows"]
    assert row["figures"]["questions"] == 30
    assert row["times"]["median_ms"]["value"] > 0
    gate = next(check for check in row["verify"] if check["check"] == "task: F1")
    assert gate["status"] == "passed"
    assert "n=30" in gate["figure"]
    header, line = capsys.readouterr().out.splitlines()
    assert run("schemes", *words, "--schemes", "int8", "--results", results, "--add") == 0
    rows = json.loads(results.read_text())["rows"]
    assert [one["scheme"] for one in rows] == ["fp32", "int8"]
    assert rows[0] == row
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert header.split()[:3] == ["target", "scheme", "MB"]
    assert line.startswith("onnx")
    assert "passed (" in line


def test_an_unknown_scheme_is_one_sentence(run, tmp_path, capsys):
    assert run("schemes", "--schemes", "int3", "--out", tmp_path / "out") == 2
    assert "unknown scheme 'int3'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
