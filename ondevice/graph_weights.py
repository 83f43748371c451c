"""A checkpoint's weights as the graph has them: our names, and factors that change no output.

- Row 0 of the token types is folded into the positions where token types are not an input.
- The scale 1/√d of attention is folded into the query.
- What layers add up is carried at a quarter of its size (:data:`RESIDUAL_SCALE`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ondevice.architectures import Encoder, Head
from ondevice.errors import CheckpointError

# Post-norm encoders let a token or two grow to hundreds where a layer adds up: 260 in the embedded
# student, whose square, which a layer norm takes, is beyond fp16. A layer norm does not see a
# factor of its input, so a quarter of all is carried, and the matrices that read it are four times
# larger. A power of two, and the epsilon follows: in float32 not a bit of an output changes.
RESIDUAL_SCALE = 0.25


def gather(encoder: Encoder, head: Head, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map our parameter names to the checkpoint's tensors, folded and scaled.

    Raises:
        CheckpointError: a weight is missing.
    """
    weights = {ours: _find(state, theirs) for ours, theirs in encoder.names.items()}
    weights |= {ours: _find(state, theirs) for ours, theirs in head.names.items()}
    first = encoder.position_offset
    positions = _find(state, encoder.position_name)[first : first + encoder.max_length]
    if encoder.type_name is not None:
        types = _find(state, encoder.type_name)
        positions = positions + types[0]
        if encoder.token_types:
            weights["embeddings.type_step"] = types[1] - types[0]
    weights["embeddings.positions"] = positions.contiguous()
    for name, factor in _factors(encoder, projected="embeddings.project.weight" in weights).items():
        weights[name] = weights[name] * factor
    return weights


def _factors(encoder: Encoder, *, projected: bool) -> dict[str, float]:
    """Return what each weight is multiplied by, where that is not 1.

    From the embeddings to the last layer norm all that is added up is scaled, and its readers are
    unscaled; the last layer norm's own output is what the checkpoint's is.
    """
    query = 1.0 / math.sqrt(encoder.width // encoder.heads)
    factors: dict[str, float] = {}
    writers = ["embeddings.project" if projected else "embeddings.norm"]
    for i in range(encoder.layers):
        parts = ("attention.output", "attention_norm", "contract", "output_norm")
        writers += [f"layers.{i}.{part}" for part in parts]
        for part in ("attention.query", "attention.key", "attention.value", "expand"):
            factors[f"layers.{i}.{part}.weight"] = 1.0 / RESIDUAL_SCALE
        factors[f"layers.{i}.attention.query.weight"] *= query
        factors[f"layers.{i}.attention.query.bias"] = query
    for writer in writers[:-1]:
        factors |= {f"{writer}.weight": RESIDUAL_SCALE, f"{writer}.bias": RESIDUAL_SCALE}
    return factors


def _find(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise CheckpointError(f"the checkpoint has no weight '{name}'")
    # A copy: a tensor of the file's own would keep all of the file in memory beside the weights
    # that are made from it.
    return state[name].to(torch.float32, copy=True)
