"""The verb `pretrain`: the paper's triple loss on raw text (Sanh et al. 2019, section 3)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ondevice import models
from ondevice.distill import checkpoints, engine, losses, runs
from ondevice.distill.corpus import Corpus, files
from ondevice.distill.forward import model_inputs
from ondevice.distill.heads.base import Batch
from ondevice.distill.masking import Masking
from ondevice.distill.options import REMOTE, PretrainOptions, numbered
from ondevice.distill.student import initialise, numbered_layers, parse_layers
from ondevice.distill.trainer import DistillTrainer
from ondevice.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.tokenizer import TextTokenizer

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
        self._weights = options.losses

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


@runs.releasing
def pretrain(options: PretrainOptions) -> dict[str, Any]:
    """Distil a masked language model on raw text; return the mean of the last logged loss parts.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    found = models.load(options.teacher)
    begun = models.load(options.student) if options.student else None
    if "kl" in options.losses and not has_lm_head(found):
        raise CheckpointError(
            f"{found.directory} has no masked-LM head, so it has no soft targets to give; give "
            "another --teacher, or --ablate kl"
        )
    for one in (found, begun):
        if one is not None:
            checkpoints.check_length(one, options.max_length)
    if begun is not None:
        checkpoints.check_vocabulary(found.directory, begun.directory)
        _check_alike(found, begun, options)
    options = replace(options, layers=numbered_layers(options.layers, found.encoder.layers))
    sources = [path for source in options.corpus for path in _paths(source)]
    data = numbered("corpus", sources) | checkpoints.files(found, "teacher")
    if begun is not None:
        data |= checkpoints.files(begun, "student")
    if (done := runs.claim(options.out, runs.describe("pretrain", options, data))) is not None:
        return done

    with runs.preparing(options.out):
        engine.prepare(options.training)
        teacher = checkpoints.load(found.directory, AUTO_CLASS, dropout=options.training.dropout)
        student = _student(options, teacher, begun.directory if begun is not None else None)
        corpus = _corpus(options, found.tokenizer)
        chunks = len(corpus)
        masking = _masking(options, found.tokenizer, corpus)
    logger.info("%d chunks, %d tokens", chunks, int(corpus.counts.tokens.sum()))
    settings = engine.arguments(options.training, options.out, chunks)
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
    result = last | {
        "chunks": chunks,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
    }
    engine.finish(trainer, options.out, found.directory, result)
    return result


def has_lm_head(checkpoint: models.Checkpoint) -> bool:
    """Tell from the names of the weights whether a checkpoint can predict masked words.

    Raises:
        CheckpointError: a file of weights is damaged.
    """
    names: list[str] = []
    for path in checkpoint.weight_files:
        try:
            with safe_open(path, framework="numpy") as weights:
                names += weights.keys()
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} is cut off or damaged: {error}") from error
    return any(name.startswith(_LM_HEADS) for name in names)


def _student(
    options: PretrainOptions, teacher: PreTrainedModel, begun: Path | None
) -> PreTrainedModel:
    if begun is None:
        layers = parse_layers(options.layers, teacher.config.num_hidden_layers)
        student = initialise(teacher, layers, options.kind)
    else:
        student = checkpoints.load(begun, AUTO_CLASS, dropout=options.training.dropout)
    engine.adapt(student, options.training)
    if options.freeze_positions:
        student.base_model.embeddings.position_embeddings.requires_grad_(False)
    return student


def _check_alike(
    teacher: models.Checkpoint, student: models.Checkpoint, options: PretrainOptions
) -> None:
    """Refuse a student whose outputs cannot be held against its teacher's.

    Raises:
        UserError: names what differs.
    """
    ours, theirs = student.encoder, teacher.encoder
    if "cosine" in options.losses and ours.width != theirs.width:
        raise UserError(
            f"student and teacher have different widths ({ours.width} and {theirs.width}); give"
            " --ablate cosine"
        )
    if "kl" in options.losses and ours.vocab_size != theirs.vocab_size:
        raise UserError(
            f"student and teacher have {ours.vocab_size} and {theirs.vocab_size} rows of word"
            " embeddings, so that their predictions do not compare; give --ablate kl"
        )


def _corpus(options: PretrainOptions, tokenizer: TextTokenizer) -> Corpus:
    training = options.training
    return Corpus(
        options.corpus,
        tokenizer,
        max_length=options.max_length,
        batch_size=training.batch_size * training.accumulation * runs.processes(),
        seed=training.seed,
    )


def _masking(options: PretrainOptions, tokenizer: TextTokenizer, corpus: Corpus) -> Masking:
    marks = [tokenizer.tokenizer.token_to_id(token) for token in ("[MASK]", "<mask>")]
    mask_id = next((mark for mark in marks if mark is not None), None)
    if mask_id is None:
        raise CheckpointError("the teacher's tokenizer has no [MASK] token")
    return Masking.from_counts(
        corpus.counts.tokens,
        special_ids(tokenizer.tokenizer),
        mask_id=mask_id,
        pad_id=tokenizer.pad_id,
        share=options.mask_share,
        smoothing=options.smoothing,
        seed=options.training.seed,
    )


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


def _paths(source: str) -> list[Path]:
    return [Path(source)] if source.startswith(REMOTE) else files(source)
