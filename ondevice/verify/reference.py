"""The truth that artifacts are held against: the checkpoint as transformers runs it, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ondevice.tasks import TASKS, features

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ondevice.models import Checkpoint
    from ondevice.tasks import Task
    from ondevice.tasks.base import Example
    from ondevice.tokenizer import TextTokenizer

# Texts for each length and kind. Two at least, since an output that never changes is only seen
# by comparing two.
TEXTS = 3


@dataclass(frozen=True)
class Case:
    """A real text as model inputs, with what the checkpoint answers.

    Attributes:
        length: L.
        inputs: int32 [1, L] by name; always all three of the I/O contract.
        outputs: float32 arrays by role.
    """

    length: int
    inputs: Mapping[str, NDArray[np.int32]]
    outputs: Mapping[str, NDArray[np.float32]]

    @property
    def valid(self) -> int:
        """The number of tokens that are not padding."""
        return int(self.inputs["attention_mask"].sum())


def make_cases(
    checkpoint: Checkpoint, lengths: Sequence[int], model: nn.Module | None = None
) -> list[Case]:
    """Encode real text at every length, padded and full, and ask the checkpoint for its answers.

    Args:
        checkpoint: the checkpoint.
        lengths: of the cases.
        model: the checkpoint as :func:`load_model` loads it; None loads it.

    Raises:
        MissingPackageError: torch or transformers is not installed.
    """
    model = load_model(checkpoint) if model is None else model
    task = TASKS[checkpoint.task]
    return [
        Case(length, inputs, run_model(model, task.name, inputs))
        for length in lengths
        for inputs in encode_examples(checkpoint.tokenizer, task, length)
    ]


def encode_examples(
    tokenizer: TextTokenizer, task: Task, length: int
) -> list[dict[str, NDArray[np.int32]]]:
    """Encode the task's own examples to exactly `length` tokens.

    The first :data:`TEXTS` are padded (the text takes at most half of the length), the others
    are full: the text is repeated and cut.
    """
    examples = task.examples()[:TEXTS]
    padded = [_encode(tokenizer, example, length, max(length // 2, 5)) for example in examples]
    full = [_encode(tokenizer, _repeat(example), length, length) for example in examples]
    return padded + full


def _repeat(example: Example) -> Example:
    return (*example[:-1], " ".join([example[-1]] * 200))


def _encode(
    tokenizer: TextTokenizer, example: Example, length: int, limit: int
) -> dict[str, NDArray[np.int32]]:
    row = features.encode(tokenizer.tokenizer, example[0], next(iter(example[1:]), None), limit)
    return features.pad([row], length, tokenizer.pad_id)


def load_model(checkpoint: Checkpoint) -> nn.Module:
    """Load a checkpoint through transformers, from its files alone.

    Raises:
        MissingPackageError: transformers is not installed.
    """
    import torch

    from ondevice.errors import require

    transformers = require("transformers", extra="checkpoint")
    auto = getattr(transformers, TASKS[checkpoint.task].auto_class)
    model: nn.Module = auto.from_pretrained(
        checkpoint.directory, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    return model.eval()


def run_model(
    model: nn.Module, task: str, inputs: Mapping[str, NDArray[np.int32]]
) -> dict[str, NDArray[np.float32]]:
    """Run a transformers model on int32 [1, L] inputs; return float32 arrays by role."""
    import inspect

    import torch

    accepted = inspect.signature(model.forward).parameters
    tensors = {
        name: torch.from_numpy(np.asarray(value)).long()
        for name, value in inputs.items()
        if name in accepted
    }
    if int(getattr(model.config, "type_vocab_size", 0)) < 2:
        tensors.pop("token_type_ids", None)
    with torch.no_grad():
        outputs = _by_role(model(**tensors), task, tensors["attention_mask"])
    return {role: output.numpy().astype(np.float32) for role, output in outputs.items()}


def _by_role(output: object, task: str, mask: Tensor) -> dict[str, Tensor]:
    import torch

    if task == "qa":
        return {"start": getattr(output, "start_logits"), "end": getattr(output, "end_logits")}  # noqa: B009
    if task == "embed":
        hidden: Tensor = getattr(output, "last_hidden_state")  # noqa: B009
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1)
        return {"embedding": torch.nn.functional.normalize(mean, dim=-1)}
    return {"logits": getattr(output, "logits")}  # noqa: B009
