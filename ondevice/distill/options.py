"""What a training run is told; plain values, so that a run can be written down and recognised again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ondevice.errors import UserError
from ondevice.tasks.features import QAOptions

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class TrainOptions:
    """The engine's settings, shared by every verb.

    `log_every`, `save_every` and `keep` do not change the weights; everything else does.
    `eval_every` and `save_every` count optimizer steps; 0 means "half an epoch" for the former.
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
        for name in ("batch_size", "accumulation", "keep", "log_every", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.epochs <= 0 and self.max_steps < 1:
            raise UserError(f"epochs must be above 0, not {self.epochs}")
        if self.minutes < 0:
            raise UserError(f"minutes must not be negative, not {self.minutes}")
        if self.learning_rate <= 0:
            raise UserError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"dropout must lie in [0, 1), not {self.dropout}")
        if not 0.0 <= self.warmup < 1.0:
            raise UserError(f"warmup is a share of the steps in [0, 1), not {self.warmup}")


@dataclass(frozen=True)
class FinetuneOptions:
    """Fine-tune `model` on `train`; score on `eval_file`, which is never trained on."""

    model: str
    train: tuple[Path, ...]
    eval_file: Path
    out: Path
    task: str = "qa"
    qa: QAOptions = field(default_factory=QAOptions)
    training: TrainOptions = field(default_factory=TrainOptions)

    def __post_init__(self) -> None:
        """Refuse to score on what is trained on."""
        if not self.train:
            raise UserError("at least one training file is needed")
        if self.eval_file.resolve() in {path.resolve() for path in self.train}:
            raise UserError(f"{self.eval_file} is given for training and for evaluation")
