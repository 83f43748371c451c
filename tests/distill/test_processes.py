"""Runs in processes of their own: killed, and two side by side."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ondevice import cli
from tests.distill.conftest import run_twice

Squad = Callable[..., Path]


def command(teacher: Path, squad: Squad, out: Path, *more: str) -> list[str]:
    return [
        "finetune", "--model", str(teacher), "--train", str(squad(64, 1)), "--eval",
        str(squad(32, 2)), "--out", str(out), "--max-length", "48", "--doc-stride", "8",
        "--max-query", "12", "--learning-rate", "2e-3", "--threads", "1", "--eval-every", "1000",
        *more,
    ]  # fmt: skip


def test_killed_and_started_again_ends_where_the_undisturbed_run_ends(
    teacher: Path, squad: Squad, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert cli.main(["distill", *command(teacher, squad, killed, *more)]) == 0
    # One that began anew would end there too.
    assert re.search(r"resuming from .*checkpoint-[12]\d", caplog.text)
    first, second = (load_file(out / "model.safetensors") for out in (straight, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def pretraining(teacher: Path, text: Path, out: Path, *more: str) -> list[str]:
    return [
        "pretrain", "--teacher", str(teacher), "--corpus", str(text), "--out", str(out),
        "--max-length", "24", "--accumulation", "1", "--dropout", "0", "--learning-rate", "1e-4",
        "--threads", "1", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["task", "pretrain"])
def test_two_processes_are_one_with_twice_the_batch(
    verb: str, teacher: Path, lm_teacher: Path, squad: Squad, text: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    more = ["--epochs", "1", "--log-every", "1"]

    def arguments(out: Path, batch: str) -> list[str]:
        size = [*more, "--batch-size", batch]
        if verb == "task":
            # Texts of unequal lengths, and pairs without labels: every mean is over both processes.
            student = ["--teacher", str(teacher), "--layers", "last-1", "--pairs", "20"]
            cache = ["--cache", str(out) + "-cache"]
            return ["task", *student, *cache, *command(teacher, squad, out, *size)[3:]]
        return pretraining(lm_teacher, text, out, *size)

    assert cli.main(["distill", *arguments(one, "8")]) == 0
    both = run_twice(["-m", "ondevice.distill", *arguments(two, "4"), "--json"])
    assert [process.returncode for process in both] == [0, 0], both[0].stderr[-2000:]
    # One result, though two computed it.
    assert json.loads(both[0].stdout) == json.loads((two / "scores.json").read_text())
    assert both[1].stdout == ""
    assert "it/s]" not in both[0].stderr  # lines that can be read later, no bars
    lines = [json.loads((out / "curve.json").read_text()) for out in (one, two)]
    parts = {"task": ("kl", "hard", "hidden"), "pretrain": ("kl", "mlm", "cosine")}[verb]
    curves = [
        [[line[name] for name in ("loss", *parts)] for line in curve if "loss" in line]
        for curve in lines
    ]
    # An epoch's last batch is short, and the engine fills it up until processes have as many.
    np.testing.assert_allclose(*(curve[:-1] for curve in curves), rtol=1e-5)


CLOCKS = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from ondevice.distill import engine
from ondevice.distill.callbacks import Budget

engine.connect()
rank = int(os.environ["RANK"])
times = iter([0.0, 0.0, 20.0, 40.0, 70.0] if rank == 0 else [5.0, 9.0, 55.0, 99.0, 99.0])
budget = Budget(1.0, 0.0, Path("absent"), clock=lambda: next(times))
control = SimpleNamespace(should_training_stop=False, should_save=False)
budget.on_train_begin(None, None, control)
for step in range(3):
    budget.on_optimizer_step(None, None, control)
    budget.on_step_end(None, None, control)
    print(f"{budget.factor(0, 99):.4f} {control.should_training_stop}")
"""


def test_processes_keep_the_first_ones_time() -> None:
    first, second = run_twice(["-c", CLOCKS])
    assert first.stdout.split("\n")[:3] == ["0.6667 False", "0.3333 False", "0.0000 True"], (
        first.stderr[-2000:]
    )
    assert second.stdout == first.stdout


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
