"""The verbs of `ondevice distill`: each loads, trains, scores and writes one checkpoint."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.distill import checkpoints, runs
from ondevice.distill.options import FinetuneOptions, TrainOptions
from ondevice.errors import DataError, UserError
from ondevice.tasks.features import load_tokenizer
from ondevice.tasks.qa import QAExample, read_squad

if TYPE_CHECKING:
    from ondevice.distill.trainer import Budget, QATrainer

logger = logging.getLogger(__name__)


def finetune(options: FinetuneOptions) -> dict[str, Any]:
    """Fine-tune a checkpoint; return the scores that were also written to `scores.json`.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    source = checkpoints.resolve(options.model)
    data = {f"train:{path.name}": path for path in options.train}
    data |= {"eval": options.eval_file, "weights": source / "model.safetensors"}
    for path in data.values():
        if not path.is_file():
            raise DataError(f"{path} does not exist")
    examples = read_all(options.train)
    development = read_squad(options.eval_file)

    description = runs.describe("finetune", options, data)
    runs.claim(options.out, description)
    if (done := finished(options.out)) is not None:
        return done

    import torch
    from transformers import set_seed

    from ondevice.distill import trainer as engine
    from ondevice.distill.data import features

    if options.training.threads:
        torch.set_num_threads(options.training.threads)
    set_seed(options.training.seed)  # before the load: the new head is drawn at random
    model = checkpoints.load(
        source, "AutoModelForQuestionAnswering", dropout=options.training.dropout
    )
    if options.training.freeze_embeddings:
        model.get_input_embeddings().requires_grad_(False)
    tokenizer = load_tokenizer(source)
    train = features(tokenizer, examples, options.qa)
    subset = spread(development, options.training.eval_questions)
    logger.info(
        "%d questions in %d windows (mean %.0f tokens); %d of %d development questions while training",
        len(examples),
        len(train),
        sum(train.lengths) / len(train),
        len(subset),
        len(development),
    )
    # The engine's TensorBoard writer takes its directory from the environment alone.
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(options.out / "logs")
    runner = engine.QATrainer(
        model,
        engine.arguments(options.training, options.out, steps_in_epoch(len(train), options.training)),
        train,
        features(tokenizer, subset, options.qa),
        subset,
        options.qa,
        budget(options.training, options.out),
    )
    seconds = run(runner, options.out)
    final = engine.evaluate(
        model, features(tokenizer, development, options.qa), development, options.qa
    )
    result = {
        "em": final.em,
        "f1": final.f1,
        "questions": len(development),
        "eval": options.eval_file.name,
        "steps": runner.state.global_step,
        "seconds": seconds,
    }
    checkpoints.save(model, options.out, source)
    runs.write_json(options.out / "scores.json", result)
    return result


def budget(options: TrainOptions, out: Path) -> Budget | None:
    """Return the clock of a run that has a time limit."""
    from ondevice.distill.trainer import Budget

    if not options.minutes:
        return None
    return Budget(options.minutes, options.warmup, out / "clock.json")


def run(runner: QATrainer, out: Path) -> float:
    """Train, from the last complete checkpoint if there is one; return the seconds it took.

    Raises:
        UserError: the disk is full; the previous checkpoint survives.
    """
    checkpoint = runs.last_checkpoint(out)
    if checkpoint is not None:
        logger.info("resuming from %s", checkpoint)
    begun = time.monotonic()
    try:
        runner.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except OSError as error:
        raise UserError(
            f"writing to {out} failed: {error.strerror or error}; the checkpoint before it is kept: "
            "free some space and start the same command again"
        ) from error
    runs.write_json(out / "curve.json", runner.state.log_history)
    return time.monotonic() - begun


def read_all(paths: Sequence[Path]) -> list[QAExample]:
    """Read training files in order.

    Raises:
        DataError: two files share a question id.
    """
    found: dict[str, QAExample] = {}
    for path in paths:
        for example in read_squad(path):
            if example.id in found:
                raise DataError(f"{path}: the question id '{example.id}' is in an earlier file too")
            found[example.id] = example
    return list(found.values())


def spread(examples: Sequence[QAExample], count: int) -> list[QAExample]:
    """Return `count` examples at even distances, so that every article is represented."""
    if count <= 0 or count >= len(examples):
        return list(examples)
    return [examples[i * len(examples) // count] for i in range(count)]


def steps_in_epoch(windows: int, options: TrainOptions) -> int:
    """Return the optimizer steps of one epoch."""
    return math.ceil(windows / (options.batch_size * options.accumulation))


def finished(out: Path) -> dict[str, Any] | None:
    """Return the scores of a run that is already complete."""
    file = out / "scores.json"
    if not file.is_file():
        return None
    logger.info("%s is complete; nothing to do", out)
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result
