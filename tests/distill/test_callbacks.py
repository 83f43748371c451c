"""The time budget, with a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ondevice.distill.callbacks import Budget


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def steps(budget: Budget, clock: Clock, seconds: float) -> Any:
    """Let a step take so long; return what the engine is told."""
    clock.now += seconds
    control = SimpleNamespace(should_training_stop=False, should_save=False)
    budget.on_optimizer_step(None, None, control)
    budget.on_step_end(None, None, control)
    return control


def test_the_rate_rises_falls_and_ends_with_the_time(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(10.0, 0.1, tmp_path / "clock.json", clock=clock)
    assert budget.factor(0, 1000) == 0.0
    steps(budget, clock, 30)
    assert budget.factor(1, 1000) == pytest.approx(0.5)  # half of the warm-up
    steps(budget, clock, 30)
    assert budget.factor(2, 1000) == pytest.approx(1.0)
    assert not steps(budget, clock, 270).should_training_stop
    assert budget.factor(3, 1000) == pytest.approx(0.5)  # 0.45 left of 0.9
    control = steps(budget, clock, 271)
    assert control.should_training_stop
    assert control.should_save
    assert budget.factor(4, 1000) == 0.0


def test_steps_that_run_out_first_end_the_schedule_too(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(10.0, 0.1, tmp_path / "clock.json", clock=clock)
    steps(budget, clock, 60)
    assert budget.factor(50, 100) == pytest.approx(0.5 / 0.9)
    assert budget.factor(100, 100) == 0.0


def test_the_schedule_and_the_end_of_a_step_see_one_time(tmp_path: Path) -> None:
    """Else a process that looks a moment later would train at another rate, or stop alone."""
    clock = Clock()
    budget = Budget(1.0, 0.0, tmp_path / "clock.json", clock=clock)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: budget.factor(step, 99))
    assert not steps(budget, clock, 59).should_training_stop
    clock.now += 9
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr()[0] == pytest.approx(1 / 60)
    assert budget.seconds_left == pytest.approx(1.0)


def test_time_before_a_resume_counts(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(1.0, 0.0, tmp_path / "clock.json", clock=clock)
    steps(budget, clock, 45)
    budget.on_save(None, SimpleNamespace(is_world_process_zero=True), None)
    clock.now += 9999
    again = Budget(1.0, 0.0, tmp_path / "clock.json", clock=clock)
    again.on_train_begin(None, None, None)
    assert again.seconds_left == pytest.approx(15.0)
    assert steps(again, clock, 16).should_training_stop
