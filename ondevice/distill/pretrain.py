"""The verb `pretrain`: the paper's triple loss on raw text (Sanh et al. 2019, section 3)."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ondevice.distill import checkpoints, engine, losses, runs
from ondevice.distill.corpus import Corpus, files
from ondevice.distill.heads.base import Batch
from ondevice.distill.masking import Masking
from ondevice.distill.options import PretrainOptions
from ondevice.distill.student import initialise, parse_layers
from ondevice.distill.trainer import DistillTrainer, model_inputs
from ondevice.errors import CheckpointError, UserError
from ondevice.models import WEIGHTS_FILE
from ondevice.tokenizer import read_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

AUTO_CLASS = "AutoModelForMaskedLM"
# The first part of the name of each architecture's masked-LM head.
_LM_HEADS = ("cls.predictions.transform", "vocab_transform", "lm_head", "generator_predictions")


class PretrainDistiller(DistillTrainer):
    """Train a student on `kl · KL + mlm · masked LM + cosine · (1 - cos)`.

    Args:
        teacher: runs beside the student.
        options: weights, temperature and positions of the soft targets.
    """

    def __init__(
        self, *args: Any, teacher: PreTrainedModel, options: PretrainOptions, **kwargs: Any
    ) -> None:
        """Take loaded objects only; the rest goes to :class:`DistillTrainer`."""
        super().__init__(*args, **kwargs)
        self._teacher = teacher.eval().to(self.args.device)
        self._temperature = options.temperature
        self._masked_only = options.masked_only
        weights = {
            "kl": options.kl_weight,
            "mlm": options.mlm_weight,
            "cosine": options.cosine_weight,
        }
        self._weights = {
            name: weight
            for name, weight in weights.items()
            if weight and name not in options.ablate
        }

    def loss_parts(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and the parts."""
        labels, seen = batch["labels"], batch["attention_mask"].bool()
        wants_hidden = "cosine" in self._weights
        ours = model(**model_inputs(model, batch), output_hidden_states=wants_hidden)
        parts: dict[str, Tensor] = {}
        if self._weights.keys() & {"kl", "cosine"}:
            with torch.no_grad():
                theirs = self._teacher(
                    **model_inputs(self._teacher, batch), output_hidden_states=wants_hidden
                )
        if "kl" in self._weights:
            where = labels != -100 if self._masked_only else seen
            parts["kl"] = losses.class_kl(ours.logits, theirs.logits, where, self._temperature)
        if "mlm" in self._weights:
            parts["mlm"] = losses.label_loss(ours.logits, labels)
        if "cosine" in self._weights:
            parts["cosine"] = losses.cosine_loss(
                ours.hidden_states[-1], theirs.hidden_states[-1], seen
            )
        total = torch.stack([self._weights[name] * value for name, value in parts.items()])
        return total.sum(), parts

    def example_names(self, batch: Batch) -> list[str]:
        """Name the chunks of a batch."""
        return [f"chunk {int(number)}" for number in batch["index"]]


def pretrain(options: PretrainOptions) -> dict[str, Any]:
    """Distil a masked language model on raw text; return the mean of the last logged loss parts.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    directory = checkpoints.resolve(options.teacher)
    begun = checkpoints.resolve(options.student) if options.student else None
    used = {"kl", "mlm", "cosine"} - set(options.ablate)
    if "kl" in used and not has_lm_head(directory):
        raise CheckpointError(
            f"{directory} has no masked-LM head, so it has no soft targets to give; give another "
            "--teacher, or --ablate kl"
        )
    named = [path for source in options.corpus for path in _local(source)]
    data = {f"corpus:{number}:{path.name}": path for number, path in enumerate(named)}
    data |= {"teacher": directory / WEIGHTS_FILE}
    if begun is not None:
        data["student"] = begun / WEIGHTS_FILE
        checkpoints.check_vocabulary(directory, begun)
    if (done := runs.claim(options.out, runs.describe("pretrain", options, data))) is not None:
        return done

    engine.prepare(options.training)
    teacher = checkpoints.load(directory, AUTO_CLASS, dropout=options.training.dropout)
    if begun is None:
        depth = teacher.config.num_hidden_layers
        student = initialise(teacher, parse_layers(options.layers, depth), options.kind)
    else:
        student = checkpoints.load(begun, AUTO_CLASS, dropout=options.training.dropout)
    engine.freeze(student, options.training)
    if options.freeze_positions:
        student.base_model.embeddings.position_embeddings.requires_grad_(False)

    corpus, masking, chunks = _corpus(options, directory, teacher.config.max_position_embeddings)
    settings = engine.arguments(options.training, options.out, chunks)
    settings.max_steps = _steps(options, chunks)
    settings.eval_strategy = "no"
    with engine.logging_to(options.out):
        trainer = PretrainDistiller(
            student,
            settings,
            corpus,
            masking,
            budget=engine.budget(options.training, options.out),
            teacher=teacher,
            options=options,
        )
    seconds = engine.run(trainer, options.out)
    lines = [line for line in trainer.state.log_history if "loss" in line]
    last = {name: value for name, value in (lines[-1] if lines else {}).items() if name != "epoch"}
    result = last | {"chunks": chunks, "seconds": round(seconds, 1)}
    engine.finish(trainer, options.out, directory, result)
    return result


def has_lm_head(directory: Path) -> bool:
    """Tell from the names of the weights whether a checkpoint can predict masked words."""
    with safe_open(directory / WEIGHTS_FILE, framework="numpy") as weights:
        return any(name.startswith(_LM_HEADS) for name in weights.keys())  # noqa: SIM118


def _corpus(
    options: PretrainOptions, directory: Path, positions: int
) -> tuple[Corpus, Masking, int]:
    """Return the stream, the masking, and the number of chunks (one pass over the text)."""
    if options.max_length > positions:
        raise UserError(
            f"max_length {options.max_length} is more than the teacher's {positions} positions"
        )
    tokenizer = read_tokenizer(directory)
    mask_id = next(
        (
            found
            for token in ("[MASK]", "<mask>")
            if (found := tokenizer.tokenizer.token_to_id(token)) is not None
        ),
        None,
    )
    if mask_id is None:
        raise CheckpointError(f"the tokenizer in {directory} has no [MASK] token")
    training = options.training
    corpus = Corpus(
        options.corpus,
        tokenizer.tokenizer,
        max_length=options.max_length,
        batch_size=training.batch_size * training.accumulation * _processes(),
        seed=training.seed,
    )
    counts = corpus.count()
    logger.info("%d chunks, %d tokens", counts.chunks, int(counts.tokens.sum()))
    masking = Masking.from_counts(
        counts.tokens,
        special_ids(tokenizer.tokenizer),
        mask_id=mask_id,
        pad_id=tokenizer.pad_id,
        share=options.mask_share,
        smoothing=options.smoothing,
        seed=training.seed,
    )
    return corpus, masking, counts.chunks


def special_ids(tokenizer: Any) -> Sequence[int]:
    """Return the ids that are never masked: [CLS], [SEP], [PAD], [UNK], [MASK] and their like."""
    names = {
        "[CLS]",
        "[SEP]",
        "[PAD]",
        "[UNK]",
        "[MASK]",
        "<s>",
        "</s>",
        "<pad>",
        "<unk>",
        "<mask>",
    }
    vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    return sorted(number for token, number in vocabulary.items() if token in names)


def _steps(options: PretrainOptions, chunks: int) -> int:
    training = options.training
    if training.max_steps > 0:
        return training.max_steps
    batch = training.batch_size * training.accumulation * _processes()
    return max(1, math.ceil(chunks * training.epochs / batch))


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _local(source: str) -> list[Path]:
    return [] if source.startswith("datasets:") else files(source)
