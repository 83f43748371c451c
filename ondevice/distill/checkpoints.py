"""Find a checkpoint, load it safely, and write a complete one."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import hub
from ondevice.errors import CheckpointError
from ondevice.models import EMBEDDED, WEIGHTS_FILE
from ondevice.tokenizer import read_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

TOKENIZER_FILES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


def resolve(name: str) -> Path:
    """Return the directory of a checkpoint: an embedded name, a directory, or a hub id.

    Raises:
        CheckpointError: there is no such directory, or it lacks a file.
        UserError: the hub has no such checkpoint, or is not reachable.
    """
    if name in EMBEDDED:
        directory = EMBEDDED[name]()
    elif Path(name).is_dir():
        directory = Path(name)
    elif hub.is_hub_id(name):
        directory = hub.download(name, embedded=tuple(EMBEDDED))
    else:
        raise CheckpointError(
            f"no checkpoint directory '{name}'; give a directory, a hub id, or one of the embedded "
            f"models: {', '.join(EMBEDDED)}"
        )
    for file in ("config.json", WEIGHTS_FILE):
        if not (directory / file).is_file():
            raise CheckpointError(
                f"{directory} has no {file}; a checkpoint holds both, and a tokenizer"
            )
    return directory


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

    if dropout is not None:
        names = {"hidden_dropout_prob", "attention_probs_dropout_prob"}
        if read_config(directory).get("model_type") == "distilbert":
            names = {"dropout", "attention_dropout", "qa_dropout"}
        config |= dict.fromkeys(names, dropout)
    previous = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # a new head is expected here, not news
    transformers.utils.logging.disable_progress_bar()
    try:
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
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"cannot load {directory}: {error}") from error
    finally:
        transformers.utils.logging.set_verbosity(previous)
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
    import transformers

    directory.mkdir(parents=True, exist_ok=True)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(str(directory))
    read_tokenizer(tokenizer_from).tokenizer.save(str(directory / "tokenizer.json"))
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).is_file():
            shutil.copyfile(tokenizer_from / name, directory / name)


def check_vocabulary(teacher: Path, student: Path) -> None:
    """Refuse a student whose tokens have other numbers than its teacher's.

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
        f"teacher and student have different vocabularies ({len(first)} and {len(second)} tokens, "
        f"{len(moved)} with another number{example}); distillation compares them token by token"
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_config(directory: Path) -> dict[str, Any]:
    """Return the parsed `config.json`."""
    try:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {directory / 'config.json'}: {error}") from error
    return config
