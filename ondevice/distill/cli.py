"""The command line of `ondevice distill`; imports nothing heavy before arguments are parsed."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ondevice.distill import summary
from ondevice.distill.heads import HEADS
from ondevice.distill.options import (
    PRETRAINING,
    DataOptions,
    FinetuneOptions,
    LossWeights,
    PretrainOptions,
    TaskOptions,
    TrainOptions,
)
from ondevice.distill.rounding import ROUNDINGS
from ondevice.errors import MissingPackageError, install_command
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
_BEGUN = "go on from this checkpoint instead of the teacher's layers"
_CHECKPOINT = "a checkpoint directory, an embedded name or a hub id"
_WINDOW = ("max_length", "doc_stride", "max_query", "max_answer")
_WEIGHTS = {
    "kl": "weight of the soft targets",
    "hard": "weight of the labels",
    "hidden": "weight of the hidden states' cosine",
    "attention": "weight of the attention maps (runs the teacher live, without the cache)",
}
_PRETRAIN = {
    "temperature": "of the soft targets",
    "kl_weight": "weight of the soft targets",
    "mlm_weight": "weight of masked language modelling",
    "cosine_weight": "weight of the last hidden states' cosine",
    "masked_only": "soft targets at masked positions only",
    "mask_share": "share of the tokens to predict",
    "smoothing": "power of the token frequencies in the choice of tokens (0: uniform)",
    "max_length": "tokens of a training text",
    "freeze_positions": "do not train the position embeddings",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of ``ondevice distill`` and their arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (text, add) in _VERBS.items():
        verb = verbs.add_parser(name, help=text, allow_abbrev=False)
        add(verb)
        verb.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Run the verb that was parsed; the first process prints its result."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("torchao", "jax", "torch.utils._pytree"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # Not imported yet: a file that is missing is told sooner.
    if importlib.util.find_spec("accelerate") is None:
        raise MissingPackageError(
            f"the package 'accelerate' is not installed; type: {install_command('distill')}"
        )
    result = arguments.verb_function(arguments)
    from ondevice.distill.runs import finite, is_main_process

    if is_main_process():
        found = finite(result)
        if arguments.json:
            text = json.dumps(found, allow_nan=False)
        else:
            text = arguments.summary(arguments, found)
        sys.stdout.write(f"{text}\n")
    return 0


def _add_finetune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="minilm", help=f"{_CHECKPOINT} (default: minilm)")
    _add_data(parser)
    _add_training(parser, TrainOptions())
    parser.set_defaults(verb_function=_finetune, summary=_of_run)


def _add_distil(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", required=True, help=_CHECKPOINT)
    parser.add_argument("--student", help=_BEGUN)
    _add_student(parser, TaskOptions)
    _add_data(parser)
    text = "more data, of which labels are not learned"
    parser.add_argument("--unlabelled", type=Path, nargs="+", default=(), help=text)
    text = "so many unlabelled pairs of a question with another passage"
    _add(parser, TaskOptions, "pairs", text)
    text = "so many unlabelled pairs of a question with a part of its passage"
    _add(parser, TaskOptions, "crops", text)
    parser.add_argument("--cache", type=Path, help="keep the teacher's outputs here, for all runs")
    group = parser.add_argument_group("losses")
    for name, text in _WEIGHTS.items():
        _add(group, LossWeights, name, text)
    _add(group, TaskOptions, "temperature", "of the soft targets")
    text = "teacher layers in hidden and attention losses: last, all that --layers names, or 1,3,5"
    _add(group, TaskOptions, "compare", text)
    _add_quantize(
        parser, "train (and score while training) --student with weights rounded as a scheme does"
    )
    _add_training(parser, TrainOptions())
    parser.set_defaults(verb_function=_task, summary=_of_run)


def _add_pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", required=True, help=f"{_CHECKPOINT}, with a masked-LM head")
    parser.add_argument("--student", help=_BEGUN)
    text = "text files (.gz too; a document a line), directories, or datasets:NAME/CONFIG:SPLIT"
    parser.add_argument("--corpus", nargs="+", required=True, help=text)
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    _add_student(parser, PretrainOptions)
    group = parser.add_argument_group("losses")
    for name, text in _PRETRAIN.items():
        _add(group, PretrainOptions, name, text)
    terms = ("kl", "mlm", "cosine")
    group.add_argument("--ablate", nargs="+", default=(), choices=terms, help="losses to leave out")
    _add_training(parser, PRETRAINING)
    parser.set_defaults(verb_function=_pretrain, summary=_of_losses)


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--eval", type=Path, required=True, help="labelled data")
    _add_task(parser)
    _add_quantize(parser, "score with weights rounded as a scheme does")
    parser.set_defaults(verb_function=_score, summary=_compared)


def _add_average(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--eval", type=Path, required=True, help="labelled data")
    parser.add_argument("--teacher", help="say what share of this one's score is kept")
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    _add_task(parser)
    parser.set_defaults(verb_function=_average, summary=_of_run)


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the --out of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="directory of the checkpoint")
    parser.add_argument("--licence", required=True, help="for the card, as apache-2.0")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16"),
        default="fp16",
        help="of the stored weights (default: fp16)",
    )
    parser.add_argument("--eval", type=Path, help="score the weights as they are stored")
    parser.set_defaults(verb_function=_publish, summary=_of_published)


def _add(
    parser: Any, owner: Any, name: str, text: str, allowed: tuple[str, ...] | None = None
) -> None:
    """Add one flag for one field: the words are the same in Python and on the command line."""
    default = getattr(owner, name)
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_true", default=default, help=text)
    else:
        kind = type(default)
        parser.add_argument(
            flag, type=kind, default=default, choices=allowed, help=f"{text} (default: {default})"
        )


def _add_student(parser: argparse.ArgumentParser, owner: Any) -> None:
    text = (
        "teacher layers to copy (with --student: to compare, its own if not given): every-other,"
        " first-K, last-K, 0,2,4"
    )
    _add(parser, owner, "layers", text)
    text = "the student's architecture: the teacher's, or DistilBERT's"
    _add(parser, owner, "kind", text, ("same", "distilbert"))


def _add_quantize(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--quantize", metavar="SCHEME", help=f"{text}: {', '.join(ROUNDINGS)}")


def _add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="qa", choices=tuple(HEADS), help="(default: qa)")
    text = "classify: whose columns, labels and metrics: a GLUE task, or imdb"
    _add(parser, DataOptions, "columns", text)
    group = parser.add_argument_group("windows")
    for name in _WINDOW:
        _add(group, QAOptions, name, "in tokens")
    group.add_argument(
        "--null-threshold",
        type=float,
        metavar="N",
        help="SQuAD v2: no answer is the answer where its score is more than N above the best"
        " span's (default: a span is always the answer)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="training files")
    parser.add_argument(
        "--eval", type=Path, required=True, help="a file to score on, never trained on"
    )
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    _add_task(parser)


def _add_training(parser: argparse.ArgumentParser, defaults: TrainOptions) -> None:
    group = parser.add_argument_group("training")
    for item in fields(TrainOptions):
        if item.name not in _SKIP:
            _add(group, defaults, item.name, _HELP[item.name], _CHOICES.get(item.name))


def _training(arguments: argparse.Namespace, defaults: TrainOptions) -> TrainOptions:
    names = [item.name for item in fields(TrainOptions) if item.name not in _SKIP]
    return replace(defaults, **{name: getattr(arguments, name) for name in names})


def _data(arguments: argparse.Namespace, train: tuple[Path, ...]) -> DataOptions:
    return DataOptions(
        train=train,
        eval_file=arguments.eval,
        task=arguments.task,
        columns=arguments.columns,
        qa=QAOptions(
            **{name: getattr(arguments, name) for name in _WINDOW},
            null_threshold=arguments.null_threshold,
        ),
    )


def _finetune(arguments: argparse.Namespace) -> dict[str, Any]:
    options = FinetuneOptions(
        model=arguments.model,
        data=_data(arguments, tuple(arguments.train)),
        out=arguments.out,
        training=_training(arguments, TrainOptions()),
    )
    from ondevice.distill.recipe import finetune

    return finetune(options)


def _task(arguments: argparse.Namespace) -> dict[str, Any]:
    options = TaskOptions(
        teacher=arguments.teacher,
        data=_data(arguments, tuple(arguments.train)),
        out=arguments.out,
        student=arguments.student,
        layers=arguments.layers,
        kind=arguments.kind,
        weights=LossWeights(**{name: getattr(arguments, name) for name in _WEIGHTS}),
        temperature=arguments.temperature,
        compare=arguments.compare,
        unlabelled=tuple(arguments.unlabelled),
        pairs=arguments.pairs,
        crops=arguments.crops,
        cache=arguments.cache,
        quantize=arguments.quantize,
        training=_training(arguments, TrainOptions()),
    )
    from ondevice.distill.recipe import task

    return task(options)


def _pretrain(arguments: argparse.Namespace) -> dict[str, Any]:
    options = PretrainOptions(
        teacher=arguments.teacher,
        corpus=tuple(arguments.corpus),
        out=arguments.out,
        student=arguments.student,
        layers=arguments.layers,
        kind=arguments.kind,
        ablate=tuple(arguments.ablate),
        training=_training(arguments, PRETRAINING),
        **{name: getattr(arguments, name) for name in _PRETRAIN},
    )
    from ondevice.distill import runs

    runs.check_files(path for path in map(Path, options.corpus) if not path.is_dir())
    from ondevice.distill.pretrain import pretrain

    return pretrain(options)


def _score(arguments: argparse.Namespace) -> dict[str, Any]:
    data = _data(arguments, ())
    from ondevice.distill.recipe import score

    return score(tuple(arguments.models), data, arguments.quantize)


def _average(arguments: argparse.Namespace) -> dict[str, Any]:
    from ondevice.distill.average import AverageOptions, average

    return average(
        AverageOptions(
            models=tuple(arguments.models),
            data=_data(arguments, ()),
            out=arguments.out,
            teacher=arguments.teacher,
        )
    )


def _publish(arguments: argparse.Namespace) -> dict[str, Any]:
    from ondevice.distill.publish import PublishOptions, publish

    return publish(
        PublishOptions(
            run=arguments.run,
            out=arguments.out,
            licence=arguments.licence,
            precision=arguments.precision,
            eval_file=arguments.eval,
        )
    )


def _of_run(arguments: argparse.Namespace, result: Mapping[str, Any]) -> str:
    return summary.of_run(str(arguments.out), result)


def _of_published(arguments: argparse.Namespace, result: Mapping[str, Any]) -> str:
    return summary.of_run(f"{arguments.run}, as trained", result, str(arguments.out))


def _of_losses(arguments: argparse.Namespace, result: Mapping[str, Any]) -> str:
    return summary.of_losses(str(arguments.out), result)


def _compared(_: argparse.Namespace, result: Mapping[str, Any]) -> str:
    return summary.compared(result)


_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "finetune": ("fine-tune a checkpoint on labelled data", _add_finetune),
    "task": ("distil a fine-tuned teacher into a student", _add_distil),
    "pretrain": ("distil on raw text with the paper's triple loss", _add_pretrain),
    "score": ("score checkpoints; compare the others with the first", _add_score),
    "average": ("average the weights of checkpoints that went on from one", _add_average),
    "publish": (
        "turn a finished run into a checkpoint to hand on: half precision, a model card",
        _add_publish,
    ),
}
