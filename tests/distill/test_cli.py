"""The command line: quick, and plain about what went wrong."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from ondevice import cli
from ondevice.distill.cli import _WEIGHTS, _data, _training, add_arguments
from ondevice.distill.options import DataOptions, LossWeights, TaskOptions, TrainOptions


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ondevice import cli\n"
        "try: cli.main(['distill', 'task', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr.strip() == "[]"
    assert "--temperature" in result.stdout


def test_errors_are_one_sentence_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], squad: Callable[..., Path], teacher: Path
) -> None:
    def fails(*more: str) -> str:
        assert cli.main(["distill", "finetune", "--out", str(tmp_path / "out"), *more]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        return captured.err

    train, other = str(squad(8, 1)), str(squad(8, 2))
    files = ("--train", train, "--eval", other)
    assert "no checkpoint directory" in fails("--model", "/no/where", *files)
    assert "does not exist" in fails(
        "--model",
        str(teacher),
        "--train",
        "/absent.json",
        "--eval",
        other,
        "--max-length",
        "48",
        "--max-query",
        "12",
    )
    assert "for training and for evaluation" in fails("--train", train, "--eval", train)
    assert "learning_rate must be above 0" in fails(*files, "--learning-rate", "-1")
    assert "leaves no room" in fails(*files, "--max-length", "20")


def test_every_flag_has_its_python_word() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(
        ["task", "--teacher", "t", "--train", "a", "--eval", "b", "--out", "c"]
    )
    assert _data(arguments, tuple(arguments.train)) == DataOptions((Path("a"),), Path("b"))
    assert _training(arguments, TrainOptions()) == TrainOptions()
    assert {name: getattr(arguments, name) for name in _WEIGHTS} == asdict(LossWeights())
    defaults = TaskOptions("t", DataOptions((Path("a"),), Path("b")), Path("c"))
    for name in ("student", "layers", "kind", "temperature", "compare", "unlabelled", "pairs"):
        assert getattr(arguments, name) == getattr(defaults, name), name
    for name in ("crops", "cache", "quantize"):
        assert getattr(arguments, name) == getattr(defaults, name), name


def test_results_are_one_json_document_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], squad: Callable[..., Path], teacher: Path
) -> None:
    arguments = ["distill", "score", str(teacher), "--eval", str(squad(8, 2)), "--max-length", "48"]
    arguments += ["--max-query", "12", "--doc-stride", "8"]
    assert cli.main([*arguments, "--json"]) == 0
    assert "f1_interval" in json.loads(capsys.readouterr().out)[str(teacher)]


def test_results_are_a_table_where_no_json_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], squad: Callable[..., Path], teacher: Path
) -> None:
    windows = ["--max-length", "48", "--max-query", "12", "--doc-stride", "8"]
    files = ["--train", str(squad(8, 1)), "--eval", str(squad(8, 2)), *windows]
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    distil = ["task", "--teacher", str(teacher), "--layers", "first-1", "--max-steps", "1"]
    for words, rows in (
        ([*distil, *files, "--out", run], ["teacher", run]),
        (["publish", run, "--licence", "mit", "--out", out], ["teacher", f"{run}, as trained"]),
        (["score", str(teacher), run, *files[2:]], [str(teacher), run]),
    ):
        assert cli.main(["distill", *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:3] == ["checkpoint", "F1", "EM"]
        assert "retention" in lines[0]
        for line, label in zip(lines[1:], rows, strict=False):
            assert line.startswith(f"{label} ")
    assert cli.main(["distill", "score", str(teacher), "--ev", "x.json"]) == 2
