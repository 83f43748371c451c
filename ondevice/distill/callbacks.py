"""Progress lines and the time budget."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import broadcast  # type: ignore[import-untyped]
from transformers import TrainingArguments
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState

from ondevice.distill.runs import write_json
from ondevice.untrusted import parse_json

logger = logging.getLogger(__name__)


class Progress(TrainerCallback):  # type: ignore[misc]
    """Log loss parts, examples/s and the time left, one line at a time."""

    def __init__(self, budget: Budget | None = None) -> None:
        """Start with no clock: steps done before a resume must not count into the speed."""
        self._begun = 0.0
        self._first = 0
        self._budget = budget

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._begun, self._first = time.perf_counter(), state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write a line."""
        if not state.is_world_process_zero or not logs:
            return
        numbers = "  ".join(
            f"{name} {value:.3g}" if name == "learning_rate" else f"{name} {value:.3f}"
            for name, value in logs.items()
            if isinstance(value, float) and name != "epoch"
        )
        speed = ""
        done = state.global_step - self._first
        if "loss" in logs and done:
            seconds = (time.perf_counter() - self._begun) / done
            examples = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            left = seconds * (state.max_steps - state.global_step)
            if self._budget is not None:
                left = min(left, self._budget.seconds_left)
            hours, minutes = divmod(int(left / 60), 60)
            speed = f"  {examples / seconds:.1f} examples/s  {hours} h {minutes:02d} min left"
        logger.info(
            "step %d/%d (epoch %.2f)  %s%s",
            state.global_step,
            state.max_steps,
            state.epoch or 0.0,
            numbers,
            speed,
        )


class Budget(TrainerCallback):  # type: ignore[misc]
    """A linear schedule over wall-clock time, for machines whose speed is not ours alone.

    "Budgeted Training" (Li, Yumer, Ramanan 2020) finds that a schedule which reaches zero within
    the budget matters more than the number of steps. The share done is the greater of time and
    steps, so whichever ends first ends with the rate at zero. Time spent before a resume counts.

    Clocks of several processes differ. The first process's is read once a step and told to all, so
    that all train at the same rate and stop at the same step; one that stopped alone would leave
    the others waiting for its gradients.
    """

    def __init__(
        self,
        minutes: float,
        warmup: float,
        file: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the time spent in `file`."""
        self._seconds = minutes * 60
        self._warmup = warmup
        self._file = file
        self._clock = clock
        spent = float(parse_json(file.read_text(encoding="utf-8"))) if file.is_file() else 0.0
        self._begun = clock() - spent
        self._elapsed = spent

    @property
    def seconds_left(self) -> float:
        """Return the time left, as all processes know it since the last step."""
        return max(0.0, self._seconds - self._elapsed)

    def factor(self, step: int, max_steps: int) -> float:
        """Return the share of the peak learning rate."""
        done = max(1.0 - self.seconds_left / self._seconds, step / max(1, max_steps))
        if done < self._warmup:
            return done / self._warmup
        return max(0.0, (1.0 - done) / (1.0 - self._warmup))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Agree on the time spent before: the file may lie with the first process alone."""
        self._elapsed = _first_process_says(self._clock() - self._begun)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the clock: the schedule and the end of this step both follow."""
        self._elapsed = _first_process_says(self._clock() - self._begun)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remember the time spent."""
        if state.is_world_process_zero:
            write_json(self._file, self._clock() - self._begun)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop when the time is over."""
        if self.seconds_left <= 0.0:
            control.should_training_stop = True
            control.should_save = True


def _first_process_says(seconds: float) -> float:
    """Return the first process's number in every process."""
    state = PartialState()
    if state.num_processes == 1:
        return seconds
    return float(broadcast(torch.tensor([seconds], device=state.device), from_process=0)[0])
