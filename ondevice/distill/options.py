"""What a training run is told: plain values, to be written down and recognised again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from ondevice.distill.rounding import check_trainable
from ondevice.errors import UserError, choices
from ondevice.tasks.features import QAOptions

Precision = Literal["fp32", "bf16"]

# Tokens of a training text of which some can be masked and others are left to tell them by.
SHORTEST_TEXT = 16

EVERY_OTHER = "every-other"

# What a source begins with that `datasets` fetches: datasets:NAME/CONFIG:SPLIT.
REMOTE = "datasets:"


@dataclass(frozen=True)
class TrainOptions:
    """The engine's settings, shared by every verb.

    `log_every`, `save_every`, `keep` and `threads` do not change what is learned; everything else
    does. `eval_every` and `save_every` count optimizer steps; 0 means "half an epoch" for the
    former. `minutes` above 0 bounds the training's time, with a learning rate that is 0 at its end.
    """

    epochs: float = 2.0
    max_steps: int = -1
    minutes: float = 0.0
    batch_size: int = 24
    accumulation: int = 1
    learning_rate: float = 1.5e-4
    warmup: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    adam_betas: tuple[float, float] = (0.9, 0.999)
    adam_epsilon: float = 1e-8
    schedule: Literal["linear", "cosine"] = "linear"
    dropout: float = 0.0
    freeze_embeddings: bool = False
    precision: Precision = "fp32"
    seed: int = 42
    threads: int = 0
    eval_every: int = 0
    eval_questions: int = 300
    save_every: int = 150
    keep: int = 2
    log_every: int = 20

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{one.name} must be a number, not {value}")
        for name in ("threads", "eval_every", "eval_questions", "weight_decay", "max_grad_norm"):
            _check_number(name, getattr(self, name), 0)
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed must lie in [0, 2^32), not {self.seed}")
        for name in ("batch_size", "accumulation", "keep", "log_every", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_steps < 1 and self.max_steps != -1:
            raise UserError(
                f"max_steps must be at least 1, or -1 for as many as --epochs asks, not"
                f" {self.max_steps}"
            )
        if self.epochs <= 0 and self.max_steps < 1:
            raise UserError(f"epochs must be above 0, not {self.epochs}")
        _check_number("minutes", self.minutes, 0)
        if self.minutes and self.schedule != "linear":
            raise UserError(
                f"a run that --minutes ends has a linear schedule, not {self.schedule}; leave out"
                " --schedule or --minutes"
            )
        if self.learning_rate <= 0:
            raise UserError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"dropout must lie in [0, 1), not {self.dropout}")
        if not 0.0 <= self.warmup < 1.0:
            raise UserError(f"warmup is a share of the steps in [0, 1), not {self.warmup}")


@dataclass(frozen=True)
class DataOptions:
    """What is trained on and scored on.

    `train` (empty only where nothing is trained) and `eval_file` are SQuAD JSON for qa; TSV, CSV,
    JSONL or `datasets:NAME/CONFIG:SPLIT` for classify, with the columns of `columns` (a GLUE task
    or imdb); CoNLL columns for tokens.
    """

    train: tuple[Path, ...]
    eval_file: Path
    task: str = "qa"
    columns: str = "sst2"
    qa: QAOptions = field(default_factory=QAOptions)

    def __post_init__(self) -> None:
        """Refuse to score on what is trained on."""
        if self.eval_file.resolve() in {path.resolve() for path in self.train}:
            raise UserError(f"{self.eval_file} is given for training and for evaluation")

    @property
    def files(self) -> dict[str, Path]:
        """Return the sources under the names that a run's record gives them.

        Numbered, since files in different directories may have the same name.
        """
        return {**numbered("train", self.train), "eval": self.eval_file}


def check_layers(option: str, text: str, others: str = "") -> None:
    """Check the form of a choice of layers, before it is known how many there are.

    Raises:
        UserError: it names none.
    """
    if not re.fullmatch(r"every-other|(first|last)-\d+|\d+(,\d+)*", text):
        raise UserError(
            f"unknown layer choice '{text}'; {option} takes: {others}every-other, first-K, last-K,"
            " or a list as 0,2,4"
        )


def _check_number(name: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise UserError(f"{name} must be at least {least:g}, not {value:g}")


def is_remote(path: Path) -> bool:
    """Tell whether a source is a `datasets` name rather than a file."""
    return str(path).startswith(REMOTE)


def numbered(kind: str, paths: Iterable[Path]) -> dict[str, Path]:
    """Return the paths as `KIND:0`, `KIND:1`, …"""
    return {f"{kind}:{number}": path for number, path in enumerate(paths)}


@dataclass(frozen=True)
class FinetuneOptions:
    """Fine-tune `model` (a directory, an embedded name or a hub id) into `out`."""

    model: str
    data: DataOptions
    out: Path
    training: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the task-distillation losses; 0 switches one off."""

    kl: float = 1.0
    hard: float = 0.5
    hidden: float = 1.0
    attention: float = 0.0

    def __post_init__(self) -> None:
        """Refuse weights that train nothing."""
        values = (self.kl, self.hard, self.hidden, self.attention)
        if min(values) < 0:
            raise UserError(f"a loss weight must not be negative, not {min(values)}")
        if not any(values):
            raise UserError("all loss weights are 0: there is nothing to train")


@dataclass(frozen=True)
class TaskOptions:
    """Distil `teacher` into a student of some of its layers, or go on from a `student` directory.

    `compare` says which layers the hidden and attention losses see: `last`; `all`, each student
    layer against the teacher layer it was copied from (for a `student` that of `layers`, or of its
    own record if `layers` is left as it is); or the teacher's layers themselves, as many as the
    student has (`1,3,5`: TinyBERT's layer mapping, Jiao et al. 2020, section 3.1). `pairs` adds so
    many unlabelled pairs of a question with another passage, `crops` with a part of its own;
    `unlabelled` adds files whose labels, if any, are not learned. `cache` keeps what the teacher
    says; None runs it beside the student. `quantize` names a scheme: the student, a trained one,
    goes on with its weights rounded as that scheme rounds them, the word embeddings too, whether
    they are frozen or not; it is also scored so until the end. The result's weights are floats.
    """

    teacher: str
    data: DataOptions
    out: Path
    student: str | None = None
    layers: str = EVERY_OTHER
    kind: Literal["same", "distilbert"] = "same"
    weights: LossWeights = field(default_factory=LossWeights)
    temperature: float = 2.0
    compare: str = "all"
    unlabelled: tuple[Path, ...] = ()
    pairs: int = 0
    crops: int = 0
    cache: Path | None = None
    quantize: str | None = None
    training: TrainOptions = field(default_factory=TrainOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be distilled."""
        if self.quantize is not None:
            check_trainable(self.quantize)
            if self.student is None:
                raise UserError(
                    "--quantize goes on from a trained student; give its directory with --student"
                )
        check_layers("--layers", self.layers)
        if self.compare not in {"last", "all"}:
            check_layers("--compare", self.compare, "last, all, ")
        if self.temperature <= 0:
            raise UserError(f"temperature must be above 0, not {self.temperature}")
        for name in ("pairs", "crops"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must not be negative, not {getattr(self, name)}")
            if getattr(self, name) and self.data.task != "qa":
                raise UserError(f"--{name} makes question-passage pairs; only --task qa has them")
        unlabelled = self.pairs or self.crops or self.unlabelled
        if unlabelled and not (self.weights.kl or self.weights.hidden or self.weights.attention):
            raise UserError(
                "--pairs, --crops and --unlabelled have no labels, and all other losses are off;"
                " give --kl, --hidden or --attention a weight"
            )
        if self.data.eval_file.resolve() in {path.resolve() for path in self.unlabelled}:
            raise UserError(f"{self.data.eval_file} is given for training and for evaluation")


# Sanh et al. 2019's code: AdamW (0.9, 0.98), 1e-6, 5e-4, warm-up 5 %, 3 epochs, batches by
# accumulation.
PRETRAINING = TrainOptions(
    epochs=3.0,
    batch_size=8,
    accumulation=50,
    learning_rate=5e-4,
    weight_decay=0.0,
    max_grad_norm=5.0,
    adam_betas=(0.9, 0.98),
    adam_epsilon=1e-6,
    dropout=0.1,
    save_every=500,
)


@dataclass(frozen=True)
class PretrainOptions:
    """The paper's triple loss on raw text.

    Weights are those of Sanh et al. 2019 and the code published with it; `ablate` switches off any
    of `kl`, `mlm`, `cosine` (the paper's table 4). `smoothing` is the power of the token
    frequencies in the masking probability (XLM); 0 masks uniformly.
    """

    teacher: str
    corpus: tuple[str, ...]
    out: Path
    student: str | None = None
    layers: str = EVERY_OTHER
    kind: Literal["same", "distilbert"] = "distilbert"
    temperature: float = 2.0
    kl_weight: float = 5.0
    mlm_weight: float = 2.0
    cosine_weight: float = 1.0
    ablate: tuple[str, ...] = ()
    masked_only: bool = False
    mask_share: float = 0.15
    smoothing: float = 0.7
    max_length: int = 512
    freeze_positions: bool = False
    training: TrainOptions = PRETRAINING

    def __post_init__(self) -> None:
        """Refuse unknown losses and shares that mask nothing or all."""
        unknown = set(self.ablate) - {"kl", "mlm", "cosine"}
        if unknown:
            raise UserError(choices("loss term", min(unknown), ("kl", "mlm", "cosine")))
        for name in ("kl_weight", "mlm_weight", "cosine_weight"):
            _check_number(name, getattr(self, name), 0.0)
        if not self.losses:
            raise UserError("all three losses are off: there is nothing to train")
        if self.max_length < SHORTEST_TEXT:
            raise UserError(f"max_length must be at least {SHORTEST_TEXT}, not {self.max_length}")
        _check_number("smoothing", self.smoothing, 0.0)
        if not 0.0 < self.mask_share < 1.0:
            raise UserError(f"mask_share must lie in (0, 1), not {self.mask_share}")
        if self.temperature <= 0:
            raise UserError(f"temperature must be above 0, not {self.temperature}")
        check_layers("--layers", self.layers)
        if not self.corpus:
            raise UserError("a corpus is needed: text files, directories, or datasets:NAME:SPLIT")

    @property
    def losses(self) -> dict[str, float]:
        """Return the losses that are on, with their weights."""
        weights = {"kl": self.kl_weight, "mlm": self.mlm_weight, "cosine": self.cosine_weight}
        return {name: one for name, one in weights.items() if one and name not in self.ablate}
