"""``benchmarks/distillation.py``: which runs it makes, from what, and for how long."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def made(load, monkeypatch):
    """The options of each run, which trains nothing; every student scores the same."""
    distillation = load("distillation")
    found = []
    monkeypatch.setattr(distillation.recipe, "task", found.append)

    def score(students, data):
        return {one: {"em": 50.0, "f1": 60.0} for one in students}

    monkeypatch.setattr(distillation.recipe, "score", score)
    return found


def test_each_lever_changes_one_thing(run, load, made, tmp_path, capsys):
    words = ["--train", tmp_path / "a.json", "--eval", tmp_path / "b.json", "--steps", 10]
    words += ["--out", tmp_path / "runs", "--results", tmp_path / "results.json"]
    assert run("distillation", *words) == 0
    names = list(load("distillation").LEVERS)
    runs = dict(zip(names, made, strict=True))
    assert len({one.out for one in made}) == len(names)
    assert {one.training.max_steps for name, one in runs.items() if name != "twice the steps"} == {
        10
    }
    assert runs["twice the steps"].training.max_steps == 20
    assert runs["4 layers"].layers == "0,2,3,5"
    assert runs["hidden states alone first"].student == str(runs["hidden states alone"].out)
    assert runs["plain"].weights.kl == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["lever"] for row in rows] == names
    assert "twice the steps" in capsys.readouterr().out


def test_what_a_lever_goes_on_from_is_trained_first(run, made, tmp_path):
    words = ["--train", tmp_path / "a.json", "--eval", tmp_path / "b.json"]
    words += ["--out", tmp_path / "runs", "--results", tmp_path / "results.json"]
    assert run("distillation", *words, "--only", "hidden states alone first") == 0
    assert [one.out.name for one in made] == [
        "distilled",
        "hidden-states-alone",
        "hidden-states-alone-first",
    ]


def test_an_unknown_lever_is_named(run, made, tmp_path, capsys):
    words = ["--train", tmp_path / "a.json", "--eval", tmp_path / "b.json", "--out", tmp_path]
    assert run("distillation", *words, "--only", "magic") == 2
    assert "unknown lever 'magic'; available: distilled; " in capsys.readouterr().err
    assert made == []
