"""Find a checkpoint, load it safely, and write a complete one."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import models, staging
from ondevice.errors import CheckpointError, UserError
from ondevice.tokenizer import read_tokenizer
from ondevice.untrusted import parse_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
TOKENIZER_FILES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


def files(found: models.Checkpoint, label: str) -> dict[str, Path]:
    """Return the files that decide what a checkpoint computes, as `LABEL:FILE`."""
    paths = [*found.weight_files, found.directory / CONFIG_FILE]
    return {f"{label}:{path.name}": path for path in paths}


def check_length(found: models.Checkpoint, length: int) -> None:
    """Refuse inputs that are longer than a checkpoint's positions.

    Raises:
        UserError: says what it takes.
    """
    most = found.encoder.max_length
    if length > most:
        raise UserError(
            f"'{found.name}' takes {most} tokens at most, and inputs have up to {length};"
            f" type --max-length {most} or less"
        )


def load(
    directory: Path,
    auto_class: str,
    *,
    dropout: float | None = None,
    complete: bool = False,
    **config: Any,
) -> PreTrainedModel:
    """Load a model in float32 from safetensors alone: no pickles, no code from the checkpoint.

    Args:
        directory: the checkpoint.
        auto_class: the name of the transformers class that loads it.
        dropout: what to set all dropout to; None leaves the checkpoint's.
        complete: refuse a checkpoint that lacks weights, as an encoder without the task's head.
        config: further entries of the configuration.

    Raises:
        CheckpointError: the checkpoint cannot be loaded, or is not complete.
    """
    import transformers
    from safetensors import SafetensorError

    if dropout is not None:
        names = {"hidden_dropout_prob", "attention_probs_dropout_prob"}
        if read_config(directory).get("model_type") == "distilbert":
            names = {"dropout", "attention_dropout", "qa_dropout"}
        config |= dict.fromkeys(names, dropout)
    try:
        with _quiet():
            model: PreTrainedModel
            model, info = getattr(transformers, auto_class).from_pretrained(
                str(directory),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype="float32",
                output_loading_info=True,
                **config,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"cannot load {directory}: {error}") from error
    if complete and info["missing_keys"]:
        raise CheckpointError(
            f"{directory} has no weights '{min(info['missing_keys'])}', so it cannot do this task "
            "yet; train it first: ondevice distill finetune"
        )
    return model


def save(model: PreTrainedModel, directory: Path, tokenizer_from: Path) -> None:
    """Write config, safetensors and tokenizer into `directory`.

    The tokenizer is saved without truncation and padding: all-MiniLM's file carries both (128), and
    a reader that trusts them would cut every context.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _quiet():
        model.save_pretrained(str(directory))
    read_tokenizer(tokenizer_from).tokenizer.save(str(directory / "tokenizer.json"))
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).is_file():
            shutil.copyfile(tokenizer_from / name, directory / name)
    staging.make_readable(directory)


def check_vocabulary(
    teacher: Path,
    student: Path,
    *,
    names: tuple[str, str] = ("teacher", "student"),
    why: str = "distillation compares them token by token",
) -> None:
    """Refuse a student whose tokens have other numbers than its teacher's.

    Args:
        teacher: a checkpoint's directory.
        student: as `teacher`.
        names: what the sentence calls them.
        why: what the numbers are needed for.

    Raises:
        CheckpointError: the vocabularies differ.
    """
    first = read_tokenizer(teacher).tokenizer.get_vocab()
    second = read_tokenizer(student).tokenizer.get_vocab()
    if first == second:
        return
    moved = sorted(token for token in first.keys() & second if first[token] != second[token])
    example = f", for instance '{moved[0]}'" if moved else ""
    raise CheckpointError(
        f"{names[0]} and {names[1]} have different vocabularies ({len(first)} and {len(second)} "
        f"tokens, {len(moved)} with another number{example}); {why}"
    )


def read_labels(directory: Path, head: str) -> tuple[str, ...] | None:
    """Return the class names of a checkpoint whose architecture ends in `head`; None for others.

    A head that was saved without names has LABEL_0, LABEL_1, …; two, where it does not even say
    how many.
    """
    config = read_config(directory)
    architecture = str((config.get("architectures") or [""])[0])
    if not architecture.endswith(head):
        return None
    names = config.get("id2label")
    if not isinstance(names, dict) or not names:
        return ("LABEL_0", "LABEL_1")
    return tuple(str(names[key]) for key in sorted(names, key=int))


def read_config(directory: Path) -> dict[str, Any]:
    """Return the parsed `config.json`."""
    path = directory / CONFIG_FILE
    try:
        config: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    return config


@contextlib.contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers' progress bars off while it reads and writes checkpoints."""
    from transformers.utils import logging as their

    bars = their.is_progress_bar_enabled()
    their.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            their.enable_progress_bar()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers still: that a head is new is expected here, not news."""
    from transformers.utils import logging as their

    verbosity = their.get_verbosity()
    their.set_verbosity_error()
    try:
        with without_progress_bars():
            yield
    finally:
        their.set_verbosity(verbosity)
