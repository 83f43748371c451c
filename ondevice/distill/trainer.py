"""transformers' Trainer with this project's losses, scores, and ways to stop."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_pt_utils import LengthGroupedSampler

from ondevice.distill import losses
from ondevice.distill.data import Batch, QAFeatures, collate
from ondevice.distill.options import TrainOptions
from ondevice.distill.runs import write_json
from ondevice.errors import UserError
from ondevice.tasks.features import QAOptions
from ondevice.tasks.qa import QAExample, QAScores, decode, score

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


class Progress(TrainerCallback):
    """Log loss parts, examples/s and the time left, one line at a time."""

    def __init__(self) -> None:
        """Start with no clock: resumed steps must not count into the speed."""
        self._begun = 0.0
        self._first = 0

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
            left = int(seconds * (state.max_steps - state.global_step) / 60)
            speed = f"  {examples / seconds:.1f} examples/s  {left // 60} h {left % 60:02d} min left"
        logger.info(
            "step %d/%d (epoch %.2f)  %s%s",
            state.global_step,
            state.max_steps,
            state.epoch or 0.0,
            numbers,
            speed,
        )


class Budget(TrainerCallback):
    """A linear schedule over wall-clock time, for machines whose speed is not ours alone.

    "Budgeted Training" (Li, Yumer, Ramanan 2020) finds that a schedule which reaches zero within the
    budget matters more than the number of steps. The share done is the greater of time and steps, so
    whichever ends first ends with the rate at zero. Time spent before a resume is remembered.
    """

    def __init__(self, minutes: float, warmup: float, file: Path) -> None:
        """Keep the time spent in `file`."""
        self._seconds = minutes * 60
        self._warmup = warmup
        self._file = file
        spent = json.loads(file.read_text()) if file.is_file() else 0.0
        self._begun = time.monotonic() - float(spent)

    def factor(self, step: int, max_steps: int) -> float:
        """Return the share of the peak learning rate."""
        done = max((time.monotonic() - self._begun) / self._seconds, step / max(1, max_steps))
        if done < self._warmup:
            return done / self._warmup
        return max(0.0, (1.0 - done) / (1.0 - self._warmup))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remember the time spent."""
        if state.is_world_process_zero:
            write_json(self._file, time.monotonic() - self._begun)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop when the time is over."""
        if time.monotonic() - self._begun >= self._seconds:
            control.should_training_stop = True
            control.should_save = True


class QATrainer(Trainer):  # type: ignore[misc]
    """Fine-tune on annotators' votes; score with the task's own decode.

    Subclasses override :meth:`loss_parts`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        train: QAFeatures,
        evaluation: QAFeatures,
        examples: Sequence[QAExample],
        options: QAOptions,
        budget: Budget | None = None,
    ) -> None:
        """Take loaded objects only."""
        super().__init__(
            model=model,
            args=args,
            train_dataset=train,
            eval_dataset=evaluation,
            data_collator=collate,
        )
        self._lengths = train.lengths
        self._features = train
        self._examples = examples
        self._options = options
        self._parts: dict[str, Tensor] = {}
        self._part_steps = 0
        self.loss_is_scaled_for_ga = False  # our losses are means over a batch
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)  # prints to stdout, which is for results
        self.add_callback(Progress())
        self._budget = budget
        if budget is not None:
            self.add_callback(budget)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """Use the budget's schedule if there is one."""
        if self._budget is None:
            return super().create_scheduler(num_training_steps, optimizer)
        budget = self._budget
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: budget.factor(step, num_training_steps)
        )
        return self.lr_scheduler

    def loss_parts(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss [] and its named, unweighted parts for one batch."""
        outputs = model(**model_inputs(batch))
        loss = losses.span_loss(outputs.start_logits, outputs.end_logits, batch)
        return loss, {}

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Compute the loss, keep its parts for the log, and stop on NaN."""
        loss, parts = self.loss_parts(model, inputs)
        if not torch.isfinite(loss):
            ids = sorted({self._features[int(i)].example_id for i in inputs["index"]})
            named = ", ".join(f"{name} {float(value):.4g}" for name, value in parts.items())
            raise UserError(
                f"the loss is {float(loss)} at step {self.state.global_step + 1} "
                f"({named or 'one part'}); the batch holds the questions {', '.join(ids)}; "
                "lower --learning-rate, or look at these questions"
            )
        for name, value in parts.items():
            self._parts[name] = self._parts.get(name, torch.zeros(())) + value.detach().cpu()
        self._part_steps += 1
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each loss part since the last line."""
        if "loss" in logs and self._part_steps:
            logs |= {name: float(value) / self._part_steps for name, value in self._parts.items()}
            self._parts, self._part_steps = {}, 0
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """Group windows of like length: padding costs as much as text."""
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedSampler(size, lengths=self._lengths)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return `eval_em` and `eval_f1` in percent on the evaluation questions."""
        scores = evaluate(self.model, self.eval_dataset, self._examples, self._options)
        metrics = {"eval_em": scores.em, "eval_f1": scores.f1}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def model_inputs(batch: Batch) -> dict[str, Tensor]:
    """Return what the encoder takes of a batch."""
    return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


def evaluate(
    model: PreTrainedModel,
    features: QAFeatures,
    examples: Sequence[QAExample],
    options: QAOptions,
    *,
    batch_size: int = 32,
) -> QAScores:
    """Score a model on questions whose windows are `features`."""
    predictions = predict(model, features, examples, options, batch_size=batch_size)
    return score(predictions, examples)


@torch.no_grad()
def predict(
    model: PreTrainedModel,
    features: QAFeatures,
    examples: Sequence[QAExample],
    options: QAOptions,
    *,
    batch_size: int = 32,
) -> dict[str, str]:
    """Return each question's best answer; windows are run longest first, to pad little."""
    training = model.training
    model.eval()
    starts: dict[int, np.ndarray[Any, Any]] = {}
    ends: dict[int, np.ndarray[Any, Any]] = {}
    order = sorted(range(len(features)), key=lambda i: (-len(features[i].window), i))
    for begin in range(0, len(order), batch_size):
        chosen = [features[i] for i in order[begin : begin + batch_size]]
        batch = {name: value.to(model.device) for name, value in collate(chosen).items()}
        outputs = model(**model_inputs(batch))
        for row, item in enumerate(chosen):
            starts[item.index] = outputs.start_logits[row].float().cpu().numpy()
            ends[item.index] = outputs.end_logits[row].float().cpu().numpy()
    model.train(training)
    by_example: dict[str, list[int]] = {}
    for item in features.features:
        by_example.setdefault(item.example_id, []).append(item.index)
    answers = {}
    for example in examples:
        indices = by_example[example.id]
        answers[example.id] = decode(
            [features[i].window for i in indices],
            [starts[i] for i in indices],
            [ends[i] for i in indices],
            example.context,
            options,
        )[0].text
    return answers


def arguments(options: TrainOptions, out: Path, steps_per_epoch: int) -> TrainingArguments:
    """Translate our settings into the engine's."""
    every = options.eval_every or max(1, steps_per_epoch // 2)
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        warmup_steps=options.warmup,
        lr_scheduler_type=options.schedule,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        adam_beta1=options.adam_betas[0],
        adam_beta2=options.adam_betas[1],
        adam_epsilon=options.adam_epsilon,
        bf16=options.precision == "bf16",
        seed=options.seed,
        data_seed=options.seed,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=options.save_every,
        save_total_limit=options.keep,
        logging_strategy="steps",
        logging_steps=options.log_every,
        logging_nan_inf_filter=False,  # NaN must be seen, not smoothed away
        report_to=["tensorboard"],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        dataloader_drop_last=False,
    )
