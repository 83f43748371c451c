"""Quantization-aware distillation: what it learns survives rounding, and the result is as usual."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from ondevice import cli
from ondevice.distill import checkpoints, fake_quantized, forward, recipe
from ondevice.distill.options import (
    DataOptions,
    LossWeights,
    TaskOptions,
    TrainOptions,
)
from ondevice.distill.publish import PublishOptions, publish
from ondevice.distill.rounding import ROUNDINGS
from ondevice.distill.runs import _without
from ondevice.distill.sources import read_sources
from ondevice.tasks.features import QAOptions
from tests.distill.conftest import run_twice
from tests.distill.test_processes import wait_for

Squad = Callable[..., Path]
WINDOW = QAOptions(max_length=48, doc_stride=8, max_query=12)
QUICK = TrainOptions(
    max_steps=60, batch_size=8, learning_rate=1e-3, eval_every=1000, save_every=1000, threads=1
)


def data(squad: Squad) -> DataOptions:
    return DataOptions(train=(squad(256, 1),), eval_file=squad(32, 2), qa=WINDOW)


def options(
    teacher: Path, squad: Squad, out: Path, scheme: str | None, **others: object
) -> TaskOptions:
    asked = {
        "teacher": str(teacher),
        "student": str(teacher),
        "layers": "first-2",
        "data": data(squad),
        "out": out,
        "quantize": scheme,
        "weights": LossWeights(hard=0.0),
        "cache": out.parent / "cache",
        "training": QUICK,
    }
    return TaskOptions(**(asked | others))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, squad: Squad, teacher: Path
) -> dict[str | None, Path]:
    """Go on for the same steps, without rounding and with it.

    The student is its teacher, so that rounding is all that there is to learn.
    """
    root = tmp_path_factory.mktemp("runs")
    found: dict[str | None, Path] = {}
    for scheme in (None, "int4"):
        found[scheme] = root / str(scheme)
        recipe.task(options(teacher, squad, found[scheme], scheme))
    return found


def logits(directory: Path, squad: Squad, scheme: str | None) -> np.ndarray:
    sources = read_sources(data(squad), directory)
    model = checkpoints.load(directory, sources.head.auto_class)
    if scheme is not None:
        fake_quantized.attach(model, scheme)
    rows = forward.predict(model, sources.head, sources.evaluation().features)
    return np.concatenate(rows)


def test_what_is_learned_survives_rounding(
    runs: dict[str | None, Path], teacher: Path, squad: Squad
) -> None:
    """At equal steps, the rounded student is nearer to its teacher if it was trained rounded."""
    theirs = logits(teacher, squad, None)
    errors = {
        name: np.abs(logits(directory, squad, "int4") - theirs).mean()
        for name, directory in runs.items()
    }
    # 0.09 and 0.32.
    assert errors["int4"] < 0.5 * errors[None], errors


def test_the_result_is_an_ordinary_checkpoint(
    runs: dict[str | None, Path], teacher: Path, tmp_path: Path
) -> None:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (runs["int4"], teacher))
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }
    auto = transformers.AutoModelForQuestionAnswering
    model, info = auto.from_pretrained(runs["int4"], output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert type(model.bert.encoder.layer[0].intermediate.dense) is torch.nn.Linear
    # The stored weights are those that were learned, not what they are rounded to.
    assert len(ours["bert.encoder.layer.0.intermediate.dense.weight"][0].unique()) > 16


def test_record_and_card_say_it(runs: dict[str | None, Path], tmp_path: Path) -> None:
    for scheme, folder in runs.items():
        publish(PublishOptions(folder, tmp_path / str(scheme), "apache-2.0"))
    history = json.loads((tmp_path / "int4" / "training.json").read_text())
    assert history["options"]["quantize"] == "int4"
    assert {"torchao", "torch"} <= set(history["versions"])
    card = (tmp_path / "int4" / "README.md").read_text()
    f1 = history["scores"]["quantized"]["f1"]
    assert f"| the same, weights rounded to int4 | 32 | f1 | {f1:.1f} |" in card
    assert "| quantization-aware | weights rounded to int4 in each forward pass" in card
    assert "quantized" not in json.loads((runs[None] / "scores.json").read_text())
    assert "rounded" not in (tmp_path / "None" / "README.md").read_text()


def test_training_scores_rounded_weights_and_the_end_both(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    """One step that changes nothing, by a model that has learned nothing: scores differ."""
    training = TrainOptions(
        **{**QUICK.__dict__, "max_steps": 1, "learning_rate": 1e-12, "eval_every": 1}
    )
    out = tmp_path / "out"
    found = recipe.task(options(teacher, squad, out, "int4", training=training))
    (plain,) = recipe.score((str(teacher),), data(squad)).values()
    (rounded,) = recipe.score((str(teacher),), data(squad), "int4").values()
    assert found["quantized"]["scheme"] == "int4"
    assert (found["f1"], found["quantized"]["f1"]) == (plain["f1"], rounded["f1"])
    assert plain["f1"] != rounded["f1"]
    gap = rounded["f1"] - plain["f1"]
    assert found["quantized"]["difference"]["value"] == pytest.approx(gap)
    curve = json.loads((out / "curve.json").read_text())
    assert [line["eval_f1"] for line in curve if "eval_f1" in line] == [rounded["f1"]]


def test_frozen_word_embeddings_are_rounded_and_kept(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    training = TrainOptions(**{**QUICK.__dict__, "max_steps": 3, "freeze_embeddings": True})
    recipe.task(options(teacher, squad, tmp_path / "out", "int4", training=training))
    ours, theirs = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "out", teacher)
    )
    words = "bert.embeddings.word_embeddings.weight"
    matrix = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(ours[words], theirs[words])
    assert not torch.equal(ours[matrix], theirs[matrix])

    model = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out")
    embeddings, ids = model.get_input_embeddings(), torch.arange(12).reshape(2, 6)
    plain = embeddings(ids)
    detach = fake_quantized.attach(model, "int4")
    rounded = embeddings(ids)
    assert not torch.equal(rounded, plain)
    assert all(len(row.unique()) <= 16 for row in rounded.flatten(0, 1))
    detach()
    assert torch.equal(embeddings(ids), plain)


@pytest.mark.parametrize("scheme", sorted(ROUNDINGS))
def test_blocks_have_their_own_steps(scheme: str) -> None:
    """A row of 256 columns whose halves differ by a factor of 1000, as matrix and as table."""
    model = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=9, hidden_size=256, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=36,
        )
    )  # fmt: skip
    words, matrix = model.get_input_embeddings(), model.encoder.layer[0].attention.self.query
    with torch.no_grad():
        for weight in (words.weight, matrix.weight):
            weight[:, :128] *= 1000.0
    before = matrix.weight.detach().clone()
    ids = torch.arange(9)[None]
    plain = words(ids).detach()
    fake_quantized.attach(model.eval(), scheme)
    swapped = model.encoder.layer[0].attention.self.query
    changed = swapped.weight_fake_quantizer(before), words(ids)[0].detach()
    # With one step for the row the small half is rounded to 0.
    kept = [bool((after[:, 128:] != 0).any()) for after in changed]
    assert kept == [scheme == "int4", False]
    levels = 2 ** ROUNDINGS[scheme].bits
    assert max(len(row.unique()) for row in changed[0][:, :32]) <= levels
    error = (changed[1] - plain[0]).abs().max() / plain.abs().max()
    assert 0 < error < 1.01 / (levels - 1)
    # Rows of 36 columns cannot be cut into blocks, and still compute.
    assert torch.isfinite(model(ids).last_hidden_state).all()


@pytest.mark.slow
def test_killed_and_started_again_ends_where_the_undisturbed_run_ends(
    teacher: Path, squad: Squad, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def command(out: Path) -> list[str]:
        return [
            "distill", "task", "--teacher", str(teacher), "--student", str(teacher), "--layers",
            "first-2", "--train", str(squad(64, 1)), "--eval", str(squad(32, 2)), "--out", str(out),
            "--cache", str(tmp_path / "cache"), "--max-length", "48", "--doc-stride", "8",
            "--max-query", "12", "--learning-rate", "2e-3", "--threads", "1", "--eval-every",
            "1000", "--batch-size", "4", "--epochs", "4", "--save-every", "5", "--quantize", "int4",
        ]  # fmt: skip

    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert cli.main(command(straight)) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "ondevice", *command(killed)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: any((killed / "checkpoints").glob("checkpoint-2?")), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "scores.json").exists()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert cli.main(command(killed)) == 0
    assert "resuming from" in caplog.text
    first, second = (load_file(out / "model.safetensors") for out in (straight, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    def words(out: Path, batch: str) -> list[str]:
        return [
            "task", "--teacher", str(teacher), "--student", str(teacher), "--layers", "first-2",
            "--train", str(squad(64, 1)), "--eval", str(squad(32, 2)), "--out", str(out),
            "--cache", str(tmp_path / "cache"), "--max-length", "48", "--doc-stride", "8",
            "--max-query", "12", "--threads", "1", "--max-steps", "3", "--log-every", "1",
            "--learning-rate", "2e-4", "--batch-size", batch, "--quantize", "int4",
        ]  # fmt: skip

    one, two = tmp_path / "one", tmp_path / "two"
    assert cli.main(["distill", *words(one, "8")]) == 0
    both = run_twice(["-m", "ondevice.distill", *words(two, "4"), "--json"])
    assert [process.returncode for process in both] == [0, 0], both[0].stderr[-2000:]
    assert json.loads(both[0].stdout) == json.loads((two / "scores.json").read_text())
    curves = [
        [line["loss"] for line in json.loads((out / "curve.json").read_text()) if "loss" in line]
        for out in (one, two)
    ]
    # Later, a weight on the edge between two levels may fall to either side in the two sums.
    np.testing.assert_allclose(curves[0][0], curves[1][0], rtol=1e-3)
    np.testing.assert_allclose(*curves, rtol=0.25)


def test_words_that_cannot_be_are_one_sentence(
    teacher: Path, squad: Squad, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        "--train",
        str(squad(64, 1)),
        "--eval",
        str(squad(32, 2)),
        "--out",
        str(tmp_path / "o"),
    ]
    distil = ["distill", "task", "--teacher", str(teacher), *files]

    def fails(*more: str) -> str:
        assert cli.main([*distil, *more]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert not (tmp_path / "o").exists()
        return said

    for word in ("pal4", "int8-static", "int5"):
        said = fails("--student", str(teacher), "--quantize", word)
        assert f"'{word}'" in said
        assert "--quantize takes: int4, int8" in said
    assert "give its directory with --student" in fails("--quantize", "int4")
    words = ["distill", "score", str(teacher), "--eval", str(squad(32, 2)), "--quantize", "pal4"]
    assert cli.main(words) == 2
    assert "--quantize takes: int4, int8" in capsys.readouterr().err


def test_an_option_that_came_later_keeps_the_identity_of_older_runs() -> None:
    assert _without({"a": 1, "b": {"quantize": None, "c": 2}, "out": 3}, ("out",)) == {
        "a": 1,
        "b": {"c": 2},
    }


def test_training_rounds_as_the_targets_do() -> None:
    from ondevice.parts import TABLE
    from ondevice.targets import (
        _coreml_weights,
        _executorch_quantize,
        _onnx_int4,
        _tflite_schemes,
    )

    blocks = ROUNDINGS["int4"].matrix_blocks
    assert blocks == _onnx_int4.MATRIX_BLOCKS == _executorch_quantize.LINEAR_GROUPS
    assert blocks == _tflite_schemes.BLOCKS
    assert blocks[0] == _coreml_weights.BLOCK
    assert _executorch_quantize.group_size(TABLE, 384) == 0
