"""The verb `publish`: a finished run as a checkpoint to hand on, in half precision, with a card.

A run's directory holds what training needs; what is published holds what a user needs:

OUT/config.json, model.safetensors, tokenizer.json, vocab.txt, …   a Hugging Face checkpoint
OUT/README.md        the model card
OUT/training.json    the run: command, options, data hashes, seed, versions, scores, curve
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ondevice import models, staging
from ondevice.distill import checkpoints, runs
from ondevice.distill.options import DataOptions
from ondevice.distill.publish_card import render
from ondevice.errors import CheckpointError, UserError
from ondevice.models import WEIGHTS_FILE
from ondevice.tasks.features import QAOptions
from ondevice.tokenizer import TOKENIZER_FILE
from ondevice.untrusted import parse_json

logger = logging.getLogger(__name__)

TRAINING_FILE = "training.json"
CARD_FILE = "README.md"
RUN_FILES: dict[str, type[Any]] = {"run.json": dict, "scores.json": dict, "curve.json": list}


@dataclass(frozen=True)
class PublishOptions:
    """Publish the finished `run` as `out`.

    `precision` is that of the stored weights: fp16 halves the file, and every reader computes in
    float32 all the same. `eval_file` scores the weights as they are stored; None leaves the run's
    own scores, which were taken before rounding.
    """

    run: Path
    out: Path
    licence: str
    precision: Literal["fp32", "fp16"] = "fp16"
    eval_file: Path | None = None


def publish(options: PublishOptions) -> dict[str, Any]:
    """Write the checkpoint, its card and its history; return the scores.

    `out` appears complete or not at all; an earlier publication there is replaced.

    Raises:
        UserError: the run is not finished, or `out` holds something else.
        DataError: `eval_file` does not exist, or is none.
        CheckpointError: a weight does not fit into float16.
    """
    record, scores, curve = (_read(options.run, *file) for file in RUN_FILES.items())
    if record.get("verb") == "pretrain":
        raise UserError(
            f"{options.run} was pre-trained and has no task to publish it for; train it for one:"
            f" ondevice distill finetune --model {options.run}"
        )
    if not (options.run / WEIGHTS_FILE).is_file():
        raise UserError(f"{options.run} is not a finished run: it has no {WEIGHTS_FILE}")
    if options.out.exists() and not (options.out / TRAINING_FILE).is_file():
        raise UserError(
            f"{options.out} exists and was not written by 'ondevice distill publish'; choose"
            " another --out"
        )
    if options.eval_file is not None:
        runs.check_files([options.eval_file])
    again = options.out.exists()
    with staging.replacing(options.out) as directory:
        _copy_checkpoint(options.run, directory)
        if options.precision == "fp16":
            _halve(directory)
        if options.eval_file is not None:
            scores |= {"published": _score(directory, record["options"], options.eval_file)}
        history = record | {"scores": scores, "curve": curve, "precision": options.precision}
        runs.write_json(directory / TRAINING_FILE, history)
        found = models.load_directory(
            directory, "auto", name=options.out.name, source=f"directory:{options.out.name}"
        )
        card = render(found, history, options.licence)
        (directory / CARD_FILE).write_text(card, encoding="utf-8")
        staging.make_readable(directory)
    logger.info("published %s%s", options.out, ", in place of what was there" if again else "")
    return dict(scores)


def _read(run: Path, name: str, kind: type[Any]) -> Any:
    path = run / name
    if not path.is_file():
        raise UserError(
            f"{run} is not a finished run: it has no {name}; runs are made by 'ondevice distill"
            " finetune', 'task' and 'average'"
        )
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is unreadable: {error}") from error
    if not isinstance(found, kind):
        raise UserError(f"{path} is not what a run writes; give the directory of a finished run")
    return found


def _copy_checkpoint(run: Path, directory: Path) -> None:
    files = (checkpoints.CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, *checkpoints.TOKENIZER_FILES)
    for name in files:
        if (run / name).is_file():
            shutil.copyfile(run / name, directory / name)


def _halve(directory: Path) -> None:
    """Round the weights to float16."""
    import torch
    from safetensors.torch import load_file, save_file

    rounded = {}
    for name, tensor in load_file(directory / WEIGHTS_FILE).items():
        rounded[name] = tensor.half() if tensor.is_floating_point() else tensor
        if not bool(torch.isfinite(rounded[name]).all()):
            raise CheckpointError(
                f"'{name}' holds values beyond float16's range (65,504); give --precision fp32"
            )
    save_file(rounded, directory / WEIGHTS_FILE, metadata={"format": "pt"})
    config = checkpoints.read_config(directory)
    config.pop("torch_dtype", None)
    runs.write_json(directory / checkpoints.CONFIG_FILE, config | {"dtype": "float16"})


def _score(directory: Path, options: Mapping[str, Any], eval_file: Path) -> dict[str, Any]:
    """Score the published weights on a file, with the windows of the run."""
    from ondevice.distill.recipe import score

    data = options["data"]
    own = DataOptions(
        train=(),
        eval_file=eval_file,
        task=data["task"],
        columns=data["columns"],
        qa=QAOptions(**data["qa"]),
    )
    (result,) = score((str(directory),), own).values()
    return {**result, "eval": eval_file.name}
