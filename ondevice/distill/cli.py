"""The command line of `ondevice distill`; imports nothing heavy before arguments are parsed."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ondevice.distill.options import FinetuneOptions, TrainOptions
from ondevice.errors import OnDeviceError
from ondevice.tasks.features import QAOptions

_HELP = {
    "epochs": "passes over the data",
    "max_steps": "stop after this many optimizer steps instead (-1: by --epochs)",
    "minutes": "end by then at the latest, with the learning rate fully decayed (0: no limit)",
    "batch_size": "windows a step, on each process",
    "accumulation": "batches gathered into one optimizer step",
    "learning_rate": "the peak learning rate",
    "warmup": "share of the steps that warm up",
    "weight_decay": "AdamW's weight decay",
    "max_grad_norm": "clip gradients at this norm",
    "schedule": "how the learning rate falls to 0",
    "dropout": "dropout while training (0: none, which also trains faster on a CPU)",
    "freeze_embeddings": "do not train the word embeddings",
    "precision": "arithmetic of the forward pass",
    "seed": "seed of every random choice",
    "threads": "CPU threads (0: torch's choice)",
    "eval_every": "score every so many steps (0: every half epoch)",
    "eval_questions": "score on this many questions while training (0: all)",
    "save_every": "checkpoint every so many steps",
    "keep": "checkpoints to keep",
    "log_every": "log every so many steps",
}
_CHOICES = {"schedule": ("linear", "cosine"), "precision": ("fp32", "bf16")}
_SKIP = {"adam_betas", "adam_epsilon"}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `distill` with its verbs to the `ondevice` command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "distill", help="fine-tune a teacher, distil a student"
    )
    _add_verbs(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m ondevice.distill`; return the exit code."""
    parser = argparse.ArgumentParser(prog="ondevice distill", description=__doc__)
    _add_verbs(parser)
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("torchao", "jax", "torch.utils._pytree"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        return run(arguments)
    except OnDeviceError as error:
        sys.stderr.write(f"ondevice: {error}\n")
        return error.exit_code


def run(arguments: argparse.Namespace) -> int:
    """Run the verb that was parsed; errors go to the caller."""
    result = arguments.verb_function(arguments)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _add_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    finetune = verbs.add_parser("finetune", help="fine-tune a checkpoint on labelled data")
    finetune.add_argument("--model", default="minilm", help="checkpoint directory, or 'minilm'")
    finetune.add_argument("--train", type=Path, nargs="+", required=True, help="SQuAD JSON files")
    finetune.add_argument("--eval", type=Path, required=True, help="SQuAD JSON to score on")
    finetune.add_argument("--out", type=Path, required=True, help="directory of the run")
    _add_window(finetune)
    _add_training(finetune, TrainOptions())
    finetune.set_defaults(verb_function=_finetune)


def _add_window(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("windows")
    for name in ("max_length", "doc_stride", "max_query", "max_answer"):
        group.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(QAOptions, name))


def _add_training(parser: argparse.ArgumentParser, defaults: TrainOptions) -> None:
    """Add one flag for each field of TrainOptions: the words are the same in Python and here."""
    group = parser.add_argument_group("training")
    for item in fields(TrainOptions):
        if item.name in _SKIP:
            continue
        flag, default = f"--{item.name.replace('_', '-')}", getattr(defaults, item.name)
        if isinstance(default, bool):
            group.add_argument(flag, action="store_true", default=default, help=_HELP[item.name])
        else:
            group.add_argument(
                flag,
                type=type(default),
                default=default,
                choices=_CHOICES.get(item.name),
                help=f"{_HELP[item.name]} (default: {default})",
            )


def _training(arguments: argparse.Namespace) -> TrainOptions:
    names = [item.name for item in fields(TrainOptions) if item.name not in _SKIP]
    return TrainOptions(**{name: getattr(arguments, name) for name in names})


def _window(arguments: argparse.Namespace) -> QAOptions:
    names = ("max_length", "doc_stride", "max_query", "max_answer")
    return QAOptions(**{name: getattr(arguments, name) for name in names})


def _finetune(arguments: argparse.Namespace) -> dict[str, Any]:
    from ondevice.distill.recipe import finetune

    return finetune(
        FinetuneOptions(
            model=arguments.model,
            train=tuple(arguments.train),
            eval_file=arguments.eval,
            out=arguments.out,
            qa=_window(arguments),
            training=_training(arguments),
        )
    )
