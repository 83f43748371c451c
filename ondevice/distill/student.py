"""Make a student out of some of its teacher's layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from ondevice.distill.options import EVERY_OTHER, check_layers
from ondevice.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Kind = Literal["same", "distilbert"]

# BERT's names, within one layer, and DistilBERT's for the same weights.
_TO_DISTILBERT = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}

# The masked-LM head and the classifier, which sit outside the encoder.
_HEADS_TO_DISTILBERT = {
    "qa_outputs": "qa_outputs",
    "classifier": "classifier",
    "bert.pooler.dense": "pre_classifier",
    "cls.predictions.transform.dense": "vocab_transform",
    "cls.predictions.transform.LayerNorm": "vocab_layer_norm",
    "cls.predictions.decoder": "vocab_projector",
}

_LAYER = re.compile(r"^(?P<stack>.*\.layer)\.(?P<index>\d+)\.(?P<rest>.+)\.(?P<part>weight|bias)$")


def parse_layers(text: str, depth: int) -> tuple[int, ...]:
    """Return the teacher layers (from 0) that `text` chooses of `depth`.

    `every-other` takes one of two, as the paper does, from the first on (0, 2, 4 of 6): with the
    same steps they were far ahead of 1, 3, 5 (`benchmarks/distillation.py`), although the head was
    trained on the last. `first-K`, `last-K`, or a list as `0,2,3,5`.

    Raises:
        UserError: the text is none of these, or a layer does not exist.
    """
    check_layers("--layers", text)
    if text == EVERY_OTHER:
        return tuple(range(0, depth, 2))
    if found := re.fullmatch(r"(first|last)-(\d+)", text):
        count = int(found[2])
        if not 1 <= count <= depth:
            raise UserError(f"'{text}' asks for {count} layers; the teacher has {depth}")
        return tuple(range(count)) if found[1] == "first" else tuple(range(depth - count, depth))
    layers = tuple(int(part) for part in text.split(","))
    if max(layers) >= depth:
        raise UserError(
            f"layer {max(layers)} does not exist; the teacher has layers 0 to {depth - 1}"
        )
    if list(layers) != sorted(set(layers)):
        raise UserError(f"the layers {text} must rise, each named once")
    return layers


def numbered_layers(text: str, depth: int) -> str:
    """Return a choice of layers with ``every-other`` as numbers, which records are to hold.

    Raises:
        UserError: the choice is none, or a layer does not exist.
    """
    chosen = parse_layers(text, depth)
    return ",".join(map(str, chosen)) if text == EVERY_OTHER else text


def initialise(teacher: PreTrainedModel, layers: tuple[int, ...], kind: Kind) -> PreTrainedModel:
    """Return a new student with copies of the teacher's embeddings, chosen layers and head.

    `same` keeps the architecture (and BERT's token types); `distilbert` drops token types and
    pooler (Sanh et al. 2019, section 3) and adds the type-0 row to every position, which leaves the
    embedding sum of a type-0 token as it was.

    Raises:
        CheckpointError: the teacher's architecture cannot become that kind.
    """
    model_type = teacher.config.model_type
    if kind == "same" or model_type == "distilbert":
        return _same(teacher, layers)
    if model_type != "bert":
        raise CheckpointError(
            f"a '{model_type}' teacher cannot become a distilbert student; give --kind same"
        )
    return _distilbert(teacher, layers)


def _same(teacher: PreTrainedModel, layers: tuple[int, ...]) -> PreTrainedModel:
    values = teacher.config.to_dict()
    values["n_layers" if teacher.config.model_type == "distilbert" else "num_hidden_layers"] = len(
        layers
    )
    student: PreTrainedModel = type(teacher)(type(teacher.config).from_dict(values))
    _load(student, _choose(teacher.state_dict(), layers))
    return student


def _distilbert(teacher: PreTrainedModel, layers: tuple[int, ...]) -> PreTrainedModel:
    import transformers

    old = teacher.config
    config = transformers.DistilBertConfig(
        vocab_size=old.vocab_size,
        max_position_embeddings=old.max_position_embeddings,
        dim=old.hidden_size,
        n_layers=len(layers),
        n_heads=old.num_attention_heads,
        hidden_dim=old.intermediate_size,
        activation=old.hidden_act,
        dropout=old.hidden_dropout_prob,
        attention_dropout=old.attention_probs_dropout_prob,
        qa_dropout=old.hidden_dropout_prob,
        seq_classif_dropout=old.hidden_dropout_prob,
        pad_token_id=old.pad_token_id,
        id2label=old.id2label,
        label2id=old.label2id,
        problem_type=old.problem_type,
    )
    name = type(teacher).__name__.replace("Bert", "DistilBert", 1)
    if not hasattr(transformers, name):
        raise CheckpointError(f"transformers has no {name}; give --kind same")
    student: PreTrainedModel = getattr(transformers, name)(config)
    state = _choose(teacher.state_dict(), layers)
    new: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if (renamed := _distilbert_name(key)) is not None:
            new[renamed] = tensor
    prefix = "" if "embeddings.word_embeddings.weight" in state else "bert."
    inner = "" if "embeddings.word_embeddings.weight" in student.state_dict() else "distilbert."
    types = state[f"{prefix}embeddings.token_type_embeddings.weight"]
    new[f"{inner}embeddings.position_embeddings.weight"] = (
        state[f"{prefix}embeddings.position_embeddings.weight"] + types[0]
    )
    _load(student, new)
    return student


def _choose(state: dict[str, Tensor], layers: tuple[int, ...]) -> dict[str, Tensor]:
    """Keep and renumber the chosen layers; everything else stays."""
    places = {layer: place for place, layer in enumerate(layers)}
    chosen = {}
    for key, tensor in state.items():
        found = _LAYER.match(key)
        if found is None:
            chosen[key] = tensor
        elif (place := places.get(int(found["index"]))) is not None:
            chosen[f"{found['stack']}.{place}.{found['rest']}.{found['part']}"] = tensor
    return chosen


def _distilbert_name(key: str) -> str | None:
    """Return DistilBERT's name of a BERT weight; None for what it does not have."""
    stem, _, part = key.rpartition(".")
    if stem in _HEADS_TO_DISTILBERT:
        return f"{_HEADS_TO_DISTILBERT[stem]}.{part}"
    if key == "cls.predictions.bias":  # tied to the decoder's bias, which carries it
        return None
    bare = key.removeprefix("bert.")
    prefix = "" if bare == key else "distilbert."
    if "token_type" in key or bare.startswith("pooler"):
        return None
    if found := _LAYER.match(bare):
        return f"{prefix}transformer.layer.{found['index']}.{_TO_DISTILBERT[found['rest']]}.{part}"
    return prefix + bare


def _load(student: PreTrainedModel, state: dict[str, Any]) -> None:
    """Load the weights; whatever the student has and the teacher has not is a defect of ours.

    The exception is DistilBERT's `pre_classifier` where the teacher has no pooler.
    """
    missing, unexpected = student.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.startswith("pre_classifier.")]
    if missing or unexpected:
        raise CheckpointError(
            f"the teacher's weights do not fit the student: missing {missing[:3]}, "
            f"left over {list(unexpected)[:3]}"
        )
    student.tie_weights()
