"""``benchmarks/search_time.py``: one small search, and what it refuses."""

from __future__ import annotations

import json

import pytest

from ondevice.caching import CACHE_VARIABLE
from tests.requirements import need
from tests.search.conftest import write_questions


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    # It is set by the command, for the process that it starts.
    monkeypatch.setenv(CACHE_VARIABLE, "")


@pytest.mark.slow
def test_a_small_search_is_timed_and_written_down(run, tiny, tmp_path, capsys):
    need("onnx")
    need("report")
    data = write_questions(tmp_path / "questions.json")
    results = tmp_path / "results" / "search.json"
    words = ["--model", str(tiny("bert", "qa")), "--target", "onnx", "--scheme", "fp32,int8"]
    words += ["--lengths", "32", "--keep", "none", "--questions", "30"]
    code = run("search_time", "--data", data, "--results", results, "--", *words)
    document = json.loads(results.read_text())
    assert code == 0
    assert document["seconds"] > 0
    assert document["cpu_seconds"] > 0
    assert document["command"] == ["ondevice", "search", *words, "--data", "questions.json"]
    assert (document["candidates"], document["built"], document["asked"]) == (2, 2, 2)
    assert sum(document["outcomes"].values()) == 2
    assert [one["scheme"] for one in document["search"]["candidates"]] == ["fp32", "int8"]
    pictures = document["search"]["plots"]
    assert pictures
    assert {path.name for path in (results.parent / "search").iterdir()} == set(pictures)
    shown = capsys.readouterr().out
    assert "2 candidates, of which 2 were built and 2 asked, in " in shown
    assert "chosen for onnx: " in shown


def test_a_search_that_refuses_is_one_sentence(run, tmp_path, capsys):
    results = tmp_path / "search.json"
    assert run("search_time", "--data", tmp_path / "none.json", "--results", results) == 2
    assert "no file" in capsys.readouterr().err
    data = write_questions(tmp_path / "questions.json")
    words = ["--data", data, "--results", results, "--", "--target", "onnx", "--scheme", "int3"]
    assert run("search_time", *words) == 2
    error = capsys.readouterr().err
    assert "the search: exit code 2: ondevice: unknown scheme 'int3'" in error
    assert len(error.splitlines()) == 1
    assert not results.exists()
