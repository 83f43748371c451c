"""The supported architectures: their shapes, and where each keeps its weights.

Read from ``config.json`` alone, without torch, so that a bad checkpoint is refused at once.
A new architecture of this family is one function and one line in :data:`ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ondevice.errors import CheckpointError

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
}


@dataclass(frozen=True)
class Encoder:
    """An encoder's shape, and the names of its weights in the checkpoint.

    Attributes:
        max_length: the most tokens that the position table has room for.
        embedding_width: the width of the word embeddings; ELECTRA projects it to ``width``.
        token_types: whether ``token_type_ids`` is an input. A single type is a constant and is
            folded into the positions instead.
        names: from our parameter names to the checkpoint's.
        position_name: the checkpoint's position table.
        position_offset: its first row in use (RoBERTa counts from ``pad_token_id + 1``).
        type_name: the checkpoint's token-type table, if it has one.
    """

    architecture: str
    vocab_size: int
    max_length: int
    width: int
    embedding_width: int
    layers: int
    heads: int
    intermediate: int
    activation: str
    layer_norm_eps: float
    token_types: bool
    names: Mapping[str, str]
    position_name: str
    position_offset: int
    type_name: str | None

    def __post_init__(self) -> None:
        sizes = (self.vocab_size, self.max_length, self.width, self.embedding_width)
        if min(*sizes, self.layers, self.heads, self.intermediate) < 1:
            raise CheckpointError("config.json: a size of the encoder is zero or negative")
        if self.width % self.heads:
            raise CheckpointError(
                f"config.json: the width {self.width} is not a multiple of {self.heads} heads"
            )


@dataclass(frozen=True)
class Head:
    """A task head: its number of labels and the names of its weights in the checkpoint."""

    labels: int
    activation: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class Architecture:
    """How to read one ``model_type``."""

    prefix: str
    encoder: Callable[[Mapping[str, Any], str], Encoder]
    # The classification head: where its two linears are, and what stands between them.
    classify_dense: str
    classify_scores: str
    classify_activation: str


def _both(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json: unsupported activation '{name}'; activations: {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


_BERT_LAYER = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "expand": "intermediate.dense",
    "contract": "output.dense",
    "output_norm": "output.LayerNorm",
}

_DISTILBERT_LAYER = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "expand": "ffn.lin1",
    "contract": "ffn.lin2",
    "output_norm": "output_layer_norm",
}


def _names(prefix: str, stack: str, layer: Mapping[str, str], layers: int) -> dict[str, str]:
    names = {"embeddings.words.weight": f"{prefix}embeddings.word_embeddings.weight"}
    names |= _both("embeddings.norm", f"{prefix}embeddings.LayerNorm")
    for index in range(layers):
        for ours, theirs in layer.items():
            names |= _both(f"layers.{index}.{ours}", f"{prefix}{stack}.{index}.{theirs}")
    return names


def _bert(config: Mapping[str, Any], prefix: str) -> Encoder:
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise CheckpointError(
            f"config.json: position_embedding_type '{config['position_embedding_type']}' is not"
            " supported; only 'absolute' is"
        )
    architecture = str(config["model_type"])
    width = int(config["hidden_size"])
    embedding_width = int(config.get("embedding_size", width))
    layers = int(config["num_hidden_layers"])
    names = _names(prefix, "encoder.layer", _BERT_LAYER, layers)
    if embedding_width != width:
        names |= _both("embeddings.project", f"{prefix}embeddings_project")
    # RoBERTa's positions start behind the padding id (fairseq's convention).
    offset = int(config.get("pad_token_id", 1)) + 1 if architecture == "roberta" else 0
    return Encoder(
        architecture=architecture,
        vocab_size=int(config["vocab_size"]),
        max_length=int(config["max_position_embeddings"]) - offset,
        width=width,
        embedding_width=embedding_width,
        layers=layers,
        heads=int(config["num_attention_heads"]),
        intermediate=int(config["intermediate_size"]),
        activation=_activation(str(config.get("hidden_act", "gelu"))),
        layer_norm_eps=float(config.get("layer_norm_eps", 1e-12)),
        token_types=int(config.get("type_vocab_size", 2)) > 1,
        names=names,
        position_name=f"{prefix}embeddings.position_embeddings.weight",
        position_offset=offset,
        type_name=f"{prefix}embeddings.token_type_embeddings.weight",
    )


def _distilbert(config: Mapping[str, Any], prefix: str) -> Encoder:
    layers = int(config["n_layers"])
    width = int(config["dim"])
    return Encoder(
        architecture="distilbert",
        vocab_size=int(config["vocab_size"]),
        max_length=int(config["max_position_embeddings"]),
        width=width,
        embedding_width=width,
        layers=layers,
        heads=int(config["n_heads"]),
        intermediate=int(config["hidden_dim"]),
        activation=_activation(str(config.get("activation", "gelu"))),
        # transformers hard-codes it: modeling_distilbert.py, TransformerBlock.
        layer_norm_eps=1e-12,
        token_types=False,
        names=_names(prefix, "transformer.layer", _DISTILBERT_LAYER, layers),
        position_name=f"{prefix}embeddings.position_embeddings.weight",
        position_offset=0,
        type_name=None,
    )


ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture("bert.", _bert, "bert.pooler.dense", "classifier", "tanh"),
    "distilbert": Architecture("distilbert.", _distilbert, "pre_classifier", "classifier", "relu"),
    "roberta": Architecture("roberta.", _bert, "classifier.dense", "classifier.out_proj", "tanh"),
    "electra": Architecture("electra.", _bert, "classifier.dense", "classifier.out_proj", "gelu"),
}


def read_encoder(config: Mapping[str, Any], *, bare: bool) -> Encoder:
    """Read an encoder's shape from a Hugging Face configuration.

    Args:
        config: the parsed ``config.json``.
        bare: whether the weights carry no architecture prefix (saved from ``BertModel``).

    Raises:
        CheckpointError: the architecture is not supported, or a key is missing or unusable.
    """
    model_type = str(config.get("model_type"))
    if model_type not in ARCHITECTURES:
        raise CheckpointError(
            f"unsupported architecture '{model_type}'; architectures: {', '.join(ARCHITECTURES)}"
        )
    architecture = ARCHITECTURES[model_type]
    try:
        return architecture.encoder(config, "" if bare else architecture.prefix)
    except KeyError as error:
        raise CheckpointError(f"config.json has no {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"config.json holds an unusable value: {error}") from error


def read_head(architecture: str, task: str, shapes: Mapping[str, tuple[int, ...]]) -> Head:
    """Find a task's head among a checkpoint's weights.

    Args:
        architecture: the ``model_type``.
        task: the task whose head is wanted.
        shapes: the name and shape of every weight in the checkpoint.

    Raises:
        CheckpointError: the head's weights are missing or have another shape.
    """
    info = ARCHITECTURES[architecture]
    if task == "embed":
        return Head(0, "", {})
    scores = {"qa": "qa_outputs", "tokens": "classifier"}.get(task, info.classify_scores)
    names = _both("head.scores", scores)
    if task == "classify":
        names |= _both("head.dense", info.classify_dense)
    for name in names.values():
        if name not in shapes:
            raise CheckpointError(
                f"the checkpoint has no weight '{name}', which task '{task}' needs"
            )
    labels = (*shapes[f"{scores}.weight"], 0)[0]
    if task == "qa" and labels != 2:
        raise CheckpointError(f"the head '{scores}' has {labels} outputs; task 'qa' needs 2")
    return Head(labels, info.classify_activation, names)
