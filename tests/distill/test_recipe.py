"""Whole runs with tiny models: they learn, resume, share a cache, and refuse what is not theirs."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from ondevice import cli, models
from ondevice.distill import recipe
from ondevice.distill.options import (
    DataOptions,
    FinetuneOptions,
    LossWeights,
    TaskOptions,
    TrainOptions,
)
from ondevice.distill.runs import last_checkpoint
from ondevice.distill.trainer import DivergedError
from ondevice.errors import CheckpointError, UserError
from ondevice.tasks.features import QAOptions

Squad = Callable[..., Path]
WINDOW = QAOptions(max_length=48, doc_stride=8, max_query=12)
QUICK = TrainOptions(
    epochs=1, batch_size=8, learning_rate=2e-3, eval_every=1000, save_every=1000, threads=1
)


def data(squad: Squad, count: int = 64) -> DataOptions:
    return DataOptions(train=(squad(count, 1),), eval_file=squad(32, 2), qa=WINDOW)


def change(options: TrainOptions, **values: object) -> TrainOptions:
    return TrainOptions(**{**options.__dict__, **values})


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, squad: Squad, teacher: Path
) -> tuple[Path, dict[str, object]]:
    """Fine-tune the tiny teacher once."""
    out = tmp_path_factory.mktemp("tuned") / "teacher"
    training = change(QUICK, epochs=12, learning_rate=4e-3)
    options = FinetuneOptions(str(teacher), data(squad, 256), out, training)
    return out, recipe.finetune(options)


def test_fine_tuning_learns(tuned: tuple[Path, dict[str, object]]) -> None:
    """Three facts stand in each context: guessing among them would give about 33."""
    out, scores = tuned
    assert scores["em"] > 60, json.loads((out / "curve.json").read_text())[-3:]
    assert scores["f1_interval"]["low"] <= scores["f1"] <= scores["f1_interval"]["high"]


def test_a_run_writes_down_what_made_it(tuned: tuple[Path, dict[str, object]]) -> None:
    out, _ = tuned
    record = json.loads((out / "run.json").read_text())
    assert record["options"]["training"]["seed"] == 42
    weights = {"model:model.safetensors", "model:config.json"}
    assert set(record["sha256"]) == {"train:0", "eval"} | weights
    assert record["files"]["train:0"] == "squad-256-1.json"
    assert str(out.parent) not in json.dumps(record)
    assert sys.executable not in json.dumps(record)
    assert {"torch", "transformers", "python"} <= set(record["versions"])
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "logs"} <= names


def test_a_complete_run_is_not_repeated(
    tuned: tuple[Path, dict[str, object]], squad: Squad, teacher: Path
) -> None:
    out, scores = tuned
    training = change(QUICK, epochs=12, learning_rate=4e-3, log_every=7)
    again = recipe.finetune(FinetuneOptions(str(teacher), data(squad, 256), out, training))
    assert again == scores


def test_another_runs_directory_is_refused(
    tuned: tuple[Path, dict[str, object]], squad: Squad, teacher: Path, tmp_path: Path
) -> None:
    out, _ = tuned
    with pytest.raises(UserError, match="belongs to another run"):
        recipe.finetune(FinetuneOptions(str(teacher), data(squad, 256), out, QUICK))
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a training run's directory"):
        recipe.finetune(FinetuneOptions(str(teacher), data(squad), tmp_path, QUICK))


@pytest.mark.parametrize("kind", ["same", "distilbert"])
def test_task_distillation_cached_and_live_are_the_same_run(
    kind: str, tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    losses = []
    for name, cache in (
        ("live", None),
        ("cached", tmp_path / "cache"),
        ("again", tmp_path / "cache"),
    ):
        options = TaskOptions(
            str(tuned[0]),
            data(squad),
            tmp_path / name,
            layers="last-1",
            kind=kind,  # type: ignore[arg-type]
            pairs=8,
            cache=cache,
            training=change(QUICK, epochs=2, log_every=1),
        )
        result = recipe.task(options)
        assert {"retention", "teacher", "f1", "em"} <= set(result)
        curve = json.loads((tmp_path / name / "curve.json").read_text())
        losses.append([line["loss"] for line in curve if "loss" in line])
        assert {"kl", "hard", "hidden"} <= set(curve[0])
    # The cache keeps hidden states in float16.
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)
    assert losses[1] == losses[2]
    assert losses[0][-1] < losses[0][0]


def test_attention_maps_need_no_cache(
    tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    options = TaskOptions(
        str(tuned[0]),
        data(squad),
        tmp_path / "student",
        layers="last-1",
        weights=LossWeights(kl=0, hard=0, hidden=1, attention=1),
        cache=tmp_path / "cache",
        training=change(QUICK, log_every=1),
    )
    recipe.task(options)
    curve = json.loads((tmp_path / "student" / "curve.json").read_text())
    assert curve[-3]["attention"] < curve[0]["attention"]


def test_a_student_can_go_on(
    tuned: tuple[Path, dict[str, object]], squad: Squad, tmp_path: Path
) -> None:
    first = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "one", layers="last-1", training=QUICK
    )
    recipe.task(first)
    second = TaskOptions(
        str(tuned[0]),
        data(squad),
        tmp_path / "two",
        student=str(tmp_path / "one"),
        layers="last-1",
        training=QUICK,
    )
    assert recipe.task(second)["steps"] == 8
    wrong = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "three", student=str(tmp_path / "one"),
        layers="last-2", training=QUICK,
    )  # fmt: skip
    with pytest.raises(UserError, match="--compare last"):
        recipe.task(wrong)


def test_other_vocabularies_are_refused(
    tuned: tuple[Path, dict[str, object]],
    tiny: Callable[[str, str], Path],
    squad: Squad,
    tmp_path: Path,
) -> None:
    options = TaskOptions(
        str(tuned[0]), data(squad), tmp_path / "x", student=str(tiny("roberta", "qa"))
    )
    with pytest.raises(CheckpointError, match="different vocabularies"):
        recipe.task(options)


def test_a_teacher_without_a_head_is_refused(
    tiny: Callable[[str, str], Path], squad: Squad, tmp_path: Path
) -> None:
    options = TaskOptions(str(tiny("bert", "embed")), data(squad), tmp_path / "x")
    with pytest.raises(CheckpointError, match="ondevice distill finetune"):
        recipe.task(options)


def test_score_compares(tuned: tuple[Path, dict[str, object]], squad: Squad, teacher: Path) -> None:
    found = recipe.score((str(tuned[0]), str(teacher)), DataOptions((), squad(32, 2), qa=WINDOW))
    assert found[str(tuned[0])]["em"] == tuned[1]["em"]
    assert found[str(teacher)]["retention"]["value"] < 100
    assert found[str(teacher)]["difference"]["high"] < 0


def test_nan_names_step_and_batch(teacher: Path, squad: Squad, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in teacher.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["qa_outputs.weight"].fill_(float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DivergedError, match=r"nan at step 1.*q1-\d+"):
        recipe.finetune(FinetuneOptions(str(broken), data(squad), tmp_path / "out", QUICK))


def test_a_full_disk_keeps_the_checkpoint_before(
    teacher: Path, squad: Squad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = FinetuneOptions(str(teacher), data(squad), out, change(QUICK, save_every=2))
    real = transformers.Trainer._save_optimizer_and_scheduler

    def full(self: transformers.Trainer, folder: str) -> None:
        if folder.endswith("-4"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(transformers.Trainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(UserError, match=r"No space left.*make room"):
            recipe.finetune(options)
    assert last_checkpoint(out) == out / "checkpoints" / "checkpoint-2"
    assert recipe.finetune(options)["steps"] == 8


def test_the_result_is_a_checkpoint_of_this_project(
    tuned: tuple[Path, dict[str, object]],
) -> None:
    found = models.load(str(tuned[0]))
    assert (found.task, found.encoder.architecture) == ("qa", "bert")


def command(teacher: Path, squad: Squad, out: Path, *more: str) -> list[str]:
    return [
        "finetune", "--model", str(teacher), "--train", str(squad(64, 1)), "--eval",
        str(squad(32, 2)), "--out", str(out), "--max-length", "48", "--doc-stride", "8",
        "--max-query", "12", "--learning-rate", "2e-3", "--threads", "1", "--eval-every", "1000",
        *more,
    ]  # fmt: skip


def test_killed_and_started_again_ends_where_the_undisturbed_run_ends(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    more = ["--batch-size", "4", "--epochs", "4", "--save-every", "5", "--log-every", "1"]
    python = [sys.executable, "-m", "ondevice.distill"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert cli.main(["distill", *command(teacher, squad, straight, *more)]) == 0
    process = subprocess.Popen(
        [*python, *command(teacher, squad, killed, *more)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # Past the first epoch (16 steps), between two checkpoints or in the middle of one.
        wait_for(lambda: any((killed / "checkpoints").glob("checkpoint-2?")), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "scores.json").exists()
    # A checkpoint that was being written when the disk filled up has no state yet.
    half = killed / "checkpoints" / "checkpoint-9999"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert cli.main(["distill", *command(teacher, squad, killed, *more)]) == 0
    first, second = (load_file(out / "model.safetensors") for out in (straight, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_are_one_with_twice_the_batch(
    teacher: Path, squad: Squad, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    more = ["--epochs", "1", "--log-every", "1"]
    assert cli.main(["distill", *command(teacher, squad, one, *more, "--batch-size", "8")]) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    base = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "ACCELERATE_USE_CPU": "true",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    arguments = command(teacher, squad, two, *more, "--batch-size", "4")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "ondevice.distill", *arguments],
            env=os.environ | base | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors[0][-2000:]
    curves = [
        [line["loss"] for line in json.loads((out / "curve.json").read_text()) if "loss" in line]
        for out in (one, two)
    ]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
