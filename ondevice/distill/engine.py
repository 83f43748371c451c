"""Around transformers' Trainer: settings, seeds, directories, resuming, plain-word failures."""

from __future__ import annotations

import contextlib
import datetime
import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import parse_flag_from_env  # type: ignore[import-untyped]
from safetensors import SafetensorError
from transformers import TrainingArguments, set_seed

from ondevice.distill import attention, checkpoints, runs
from ondevice.distill.callbacks import Budget
from ondevice.distill.options import TrainOptions
from ondevice.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

logger = logging.getLogger(__name__)

# The other processes wait at a barrier while the first fills the teacher cache, which takes hours.
PATIENCE = datetime.timedelta(hours=24)


def prepare(options: TrainOptions) -> None:
    """Set threads and seed; the seed comes before any model is made, since new heads are random."""
    if options.threads:
        # Several processes on CPUs divide the cores, unless the environment says how many to use.
        if runs.processes() > 1:
            os.environ["OMP_NUM_THREADS"] = str(options.threads)
        torch.set_num_threads(options.threads)
    connect()
    set_seed(options.seed)


def connect() -> torch.device:
    """Meet the other processes, if there are any; return where this one computes.

    How long they wait for each other is set by who meets first. On machines without accelerators
    accelerate must be told so, else each process would train alone without a word.
    """
    if runs.processes() > 1 and not torch.accelerator.is_available():
        os.environ["ACCELERATE_USE_CPU"] = "true"
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU")
    device: torch.device = PartialState(cpu=on_cpu, timeout=PATIENCE).device
    return device


def adapt(model: PreTrainedModel, options: TrainOptions) -> None:
    """Stop the training of the word embeddings, if asked to; choose the attention for bf16."""
    if options.freeze_embeddings:
        model.get_input_embeddings().requires_grad_(False)
    if options.precision == "bf16" and connect().type == "cpu":
        attention.use_float32(model)


def budget(options: TrainOptions, out: Path) -> Budget | None:
    """Return the clock of a run that has a time limit."""
    if not options.minutes:
        return None
    return Budget(options.minutes, options.warmup, out / "clock.json")


@contextlib.contextmanager
def logging_to(out: Path) -> Iterator[None]:
    """Send TensorBoard's files of trainers made inside to `out/logs`.

    The engine's writer takes its directory from the environment alone.
    """
    name = "TENSORBOARD_LOGGING_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(out / "logs")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def main_process_first() -> Iterator[None]:
    """Let the main process work (and fill caches) before the others look."""
    with PartialState().main_process_first():
        yield


def run(trainer: Trainer, out: Path) -> float:
    """Train, from the last complete checkpoint if there is one; return the seconds it took.

    Raises:
        UserError: a checkpoint could not be written; the one before it survives.
    """
    with main_process_first():
        checkpoint = runs.last_checkpoint(out)
    if checkpoint is not None:
        logger.info("resuming from %s", checkpoint)
    begun = time.monotonic()
    try:
        with checkpoints.without_progress_bars():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (OSError, SafetensorError) as error:
        raise _unwritable(out, error) from error
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error) and "file write failed" not in str(error):
            raise
        raise _unwritable(out, error) from error
    # The engine puts autocast into the model itself; what is scored after the training is what is
    # stored, in float32.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return time.monotonic() - begun


def finish(trainer: Trainer, out: Path, tokenizer_from: Path, result: dict[str, Any]) -> None:
    """Write weights, curve and, last, the scores that say that the run is complete."""
    if not trainer.is_world_process_zero():
        return
    with written_to(out):
        model = trainer.accelerator.unwrap_model(trainer.model)
        checkpoints.save(model, out, tokenizer_from)
        runs.write_json(out / "curve.json", trainer.state.log_history)
        runs.write_json(out / "scores.json", result)


@contextlib.contextmanager
def written_to(out: Path) -> Iterator[None]:
    """Say in plain words why a run's result could not be written.

    Raises:
        UserError: the disk is full, or the directory cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _unwritable(out, error) from error


def arguments(options: TrainOptions, out: Path, features: int) -> TrainingArguments:
    """Translate our settings into the engine's, for so many training features."""
    steps = math.ceil(features / (options.batch_size * options.accumulation * runs.processes()))
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        warmup_steps=options.warmup,  # below 1 it is a share of the steps
        lr_scheduler_type=options.schedule,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        adam_beta1=options.adam_betas[0],
        adam_beta2=options.adam_betas[1],
        adam_epsilon=options.adam_epsilon,
        bf16=options.precision == "bf16",
        # Else the engine refuses bf16 where there is no accelerator.
        use_cpu=not torch.accelerator.is_available(),
        seed=options.seed,
        data_seed=options.seed,
        # Each process reads its own share of a stream. By default the first would read for all and
        # concatenate their batches, which fails where they are padded to different lengths.
        accelerator_config={"dispatch_batches": False},
        ddp_timeout=int(PATIENCE.total_seconds()),
        eval_strategy="steps",
        eval_steps=options.eval_every or max(1, steps // 2),
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
    )


def _unwritable(out: Path, error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(
        f"writing to {out} failed: {reason}; what was whole before is kept: make room and start the"
        " same command again"
    )
