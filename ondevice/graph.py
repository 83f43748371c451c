"""One export-friendly encoder that takes its weights from BERT-class checkpoints.

This is the one place where exportability lives. Converters break on the mask code, the cache
plumbing and the dynamic shapes of general-purpose model code; this encoder has none of them:

- position embeddings are one table; where token types are not an input, row 0 of their table is
  folded into the positions;
- one additive mask bias is computed once and shared by all layers; it is finite in fp16;
- attention and layer norm are written as the target's runtime prefers (:class:`GraphForm`);
- factors that change nothing are in the weights (:mod:`ondevice.graph_weights`): the scale of
  attention, and a quarter that keeps what layers add up inside fp16.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice import graph_weights
from ondevice.architectures import Encoder, Head
from ondevice.errors import CheckpointError
from ondevice.graph_heads import HeadModule, activate, make_head
from ondevice.graph_weights import RESIDUAL_SCALE
from ondevice.tasks import TASKS

if TYPE_CHECKING:
    from ondevice.models import Checkpoint

# Added to the attention scores of padding. exp(-1e4) is 0 in fp16 and fp32 alike, and 1e4 is
# well inside fp16's largest number (65504), which finfo(float32).min is not.
MASK_BIAS = -1e4


@dataclass(frozen=True)
class GraphForm:
    """How the same mathematics is written down, where runtimes differ in what they run fast.

    Attributes:
        attention: ``matmul`` is products of rank 4 and a softmax; ``bmm`` is the same of rank 3,
            for a batch of one, which leaves no copies between XNNPACK's operators on ExecuTorch
            (rank 4 takes 1.14 of its time there; on TFLite and ONNX Runtime no form differs outside
            the noise: ``benchmarks/graph_forms.py``);
            ``sdpa`` is PyTorch's one operator, which each converter takes apart in its own way.
        norm: ``operator`` is PyTorch's one operator for layer norm; ``products`` takes its two
            means as products with a column, for a batch of one: XNNPACK has no layer norm, and
            each one left outside ends a delegated part.
    """

    attention: Literal["matmul", "bmm", "sdpa"] = "matmul"
    norm: Literal["operator", "products"] = "operator"


class ProductNorm(nn.LayerNorm):
    """Layer norm (Ba et al. 2016) whose means are products with a column of 1/W; [1, L, W]."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__(width, eps=eps)
        # On the CPU also where the other weights are yet to come: no checkpoint has it.
        column = torch.full((1, width, 1), 1.0 / width, device="cpu")
        self.register_buffer("column", column, persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        column = self.get_buffer("column")
        centred = hidden - torch.bmm(hidden, column)
        variance = torch.bmm(centred * centred, column)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def _norm(width: int, eps: float, form: GraphForm) -> nn.LayerNorm:
    return ProductNorm(width, eps) if form.norm == "products" else nn.LayerNorm(width, eps=eps)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2), [B, L, W] to [B, L, W].

    The scale 1/√d of the scores is part of the query's weights: one product less over the largest
    array of the network.
    """

    def __init__(self, encoder: Encoder, form: GraphForm) -> None:
        super().__init__()
        self.heads = encoder.heads
        self.head_width = encoder.width // encoder.heads
        self.form = form
        self.query = nn.Linear(encoder.width, encoder.width)
        self.key = nn.Linear(encoder.width, encoder.width)
        self.value = nn.Linear(encoder.width, encoder.width)
        self.output = nn.Linear(encoder.width, encoder.width)

    def forward(self, hidden: Tensor, mask_bias: Tensor) -> Tensor:
        """Attend over `hidden` [B, L, W] with a mask bias [B, 1, 1, L]; [1, 1, L] in ``bmm``."""
        batch, length, width = hidden.shape
        query, key, value = self.query(hidden), self.key(hidden), self.value(hidden)
        if self.form.attention == "bmm":
            # [heads, L, D], and the key straight to [heads, D, L].
            split = (length, self.heads, self.head_width)
            query, value = (part.view(split).transpose(0, 1) for part in (query, value))
            scores = torch.bmm(query, key.view(split).permute(1, 2, 0)) + mask_bias
            context = torch.bmm(torch.softmax(scores, dim=-1), value).transpose(0, 1)
        else:
            # [B, heads, L, D]
            shape = (batch, length, self.heads, self.head_width)
            query, value = (part.view(shape).transpose(1, 2) for part in (query, value))
            if self.form.attention == "sdpa":
                context = functional.scaled_dot_product_attention(
                    query, key.view(shape).transpose(1, 2), value, mask_bias, scale=1.0
                )
            else:
                # The key straight to [B, heads, D, L]: one transpose instead of two.
                scores = torch.matmul(query, key.view(shape).permute(0, 2, 3, 1)) + mask_bias
                context = torch.matmul(torch.softmax(scores, dim=-1), value)
            context = context.transpose(1, 2)
        merged: Tensor = self.output(context.reshape(batch, length, width))
        return merged


class Layer(nn.Module):
    """A post-norm transformer layer (Devlin et al. 2019), [B, L, W] to [B, L, W]."""

    def __init__(self, encoder: Encoder, form: GraphForm) -> None:
        super().__init__()
        # Of a sum that is scaled.
        epsilon = encoder.layer_norm_eps * RESIDUAL_SCALE**2
        self.attention = SelfAttention(encoder, form)
        self.attention_norm = _norm(encoder.width, epsilon, form)
        self.expand = nn.Linear(encoder.width, encoder.intermediate)
        self.contract = nn.Linear(encoder.intermediate, encoder.width)
        self.output_norm = _norm(encoder.width, epsilon, form)
        self.activation = encoder.activation

    def forward(self, hidden: Tensor, mask_bias: Tensor) -> Tensor:
        hidden = self.attention_norm(hidden + self.attention(hidden, mask_bias))
        inner = activate(self.expand(hidden), self.activation)
        out: Tensor = self.output_norm(hidden + self.contract(inner))
        return out


class Embeddings(nn.Module):
    """Word + position + token-type embeddings, normalized: ids [B, L] to [B, L, W]."""

    def __init__(self, encoder: Encoder, form: GraphForm) -> None:
        super().__init__()
        self.words = nn.Embedding(encoder.vocab_size, encoder.embedding_width)
        # Row i is the embedding of the i-th token; token type 0 is already added.
        self.positions = nn.Parameter(torch.empty(encoder.max_length, encoder.embedding_width))
        # What token type 1 adds to token type 0.
        self.type_step = (
            nn.Parameter(torch.empty(encoder.embedding_width)) if encoder.token_types else None
        )
        self.norm: nn.Module = _norm(encoder.embedding_width, encoder.layer_norm_eps, form)
        projected = encoder.embedding_width != encoder.width
        self.project: nn.Module | None = (
            nn.Linear(encoder.embedding_width, encoder.width) if projected else None
        )

    def position_rows(self, input_ids: Tensor) -> Tensor:
        """Return the embeddings of the first L positions, [L, W], for ids [B, L]."""
        return self.positions[: input_ids.shape[1]]

    def total(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Return the sum of the three embeddings, not yet normalized."""
        hidden: Tensor = self.words(input_ids) + self.position_rows(input_ids)
        if self.type_step is not None and token_type_ids is not None:
            hidden = hidden + token_type_ids.unsqueeze(-1).to(hidden.dtype) * self.type_step
        return hidden

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        normalized: Tensor = self.norm(self.total(input_ids, token_type_ids))
        return normalized if self.project is None else self.project(normalized)


class MobileEncoder(nn.Module):
    """Embeddings, layers and a head; called with the inputs of the I/O contract, in its order.

    ``input_ids``, ``attention_mask`` and, where the checkpoint uses them, ``token_type_ids``:
    int32 [B, L] each. Returns a tuple with one float32 tensor for each role of the task.
    """

    def __init__(self, encoder: Encoder, head: HeadModule, form: GraphForm) -> None:
        super().__init__()
        self.form = form
        self.embeddings = Embeddings(encoder, form)
        self.layers = nn.ModuleList(Layer(encoder, form) for _ in range(encoder.layers))
        self.head = head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        hidden = self.embeddings(input_ids, token_type_ids)
        mask_bias = self.mask_bias(attention_mask, hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, mask_bias)
        outputs: tuple[Tensor, ...] = self.head(hidden, attention_mask)
        return outputs

    def mask_bias(self, attention_mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return what a mask [B, L] adds to the scores: 0 for tokens, a large negative for padding.

        [B, 1, 1, L]; in form ``bmm``, whose scores are [heads, L, L], [1, 1, L]: a step between the
        two in each layer would stand outside the delegate.
        """
        rank_3 = self.form.attention == "bmm"
        visible = attention_mask[:, None] if rank_3 else attention_mask[:, None, None]
        return (1.0 - visible.to(dtype)) * MASK_BIAS


@dataclass(frozen=True)
class MobileGraph:
    """An encoder ready to be lowered, and the names of what goes in and comes out."""

    module: MobileEncoder
    encoder: Encoder
    task: str
    labels: int

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of ``module``'s arguments."""
        names = ("input_ids", "attention_mask")
        return (*names, "token_type_ids") if self.encoder.token_types else names

    @property
    def outputs(self) -> tuple[str, ...]:
        """The roles of the outputs, in the order that ``module`` returns them."""
        return TASKS[self.task].roles

    def output_shape(self) -> tuple[int | Literal["L"], ...]:
        """Return the shape of each output for a batch of one; "L" is the sequence length."""
        shapes: dict[str, tuple[int | Literal["L"], ...]] = {
            "qa": (1, "L"),
            "classify": (1, self.labels),
            "tokens": (1, "L", self.labels),
            "embed": (1, self.encoder.width),
        }
        return shapes[self.task]

    def without_weights(self) -> MobileGraph:
        """Return the graph without its weights; what it takes and gives is known all the same."""
        nothing = {
            id(weight): nn.Parameter(weight.to("meta"), requires_grad=False)
            for weight in self.module.parameters()
        }
        return replace(self, module=copy.deepcopy(self.module, nothing))

    def example(self, length: int) -> tuple[Tensor, ...]:
        """Return inputs to export with: int32 [1, length], the last token padding."""
        input_ids = torch.ones(1, length, dtype=torch.int32)
        attention_mask = torch.ones(1, length, dtype=torch.int32)
        attention_mask[0, -1] = 0
        tensors = (input_ids, attention_mask, torch.zeros(1, length, dtype=torch.int32))
        return tensors[: len(self.inputs)]


def from_checkpoint(
    checkpoint: Checkpoint, form: GraphForm | None = None, max_length: int | None = None
) -> MobileGraph:
    """Read a checkpoint's weights into a graph.

    Args:
        checkpoint: the checkpoint.
        form: how the graph is written.
        max_length: the longest sequence that it must take; positions beyond are left out, which
            saves DistilBERT 0.4 MB at 384 of its 512. None keeps all.

    Raises:
        CheckpointError: a weight is missing, of another shape, or not finite.
    """
    encoder = checkpoint.encoder
    if max_length is not None:
        encoder = replace(encoder, max_length=min(max_length, encoder.max_length))
    return from_state(encoder, checkpoint.head, checkpoint.task, checkpoint.state(), form)


def from_state(
    encoder: Encoder,
    head: Head,
    task: str,
    state: Mapping[str, Tensor],
    form: GraphForm | None = None,
) -> MobileGraph:
    """Fill a graph with weights that carry their Hugging Face names.

    Raises:
        CheckpointError: a weight is missing, of another shape, or not finite.
    """
    # On the meta device first: no time and memory for random weights that would be replaced.
    with torch.device("meta"):
        module = MobileEncoder(encoder, make_head(task, encoder, head), form or GraphForm())
    weights = graph_weights.gather(encoder, head, state)
    for name, parameter in module.named_parameters():
        _check(name, weights[name], tuple(parameter.shape))
    module.load_state_dict(weights, strict=True, assign=True)
    module.eval().requires_grad_(False)
    return MobileGraph(module, encoder, task, head.labels)


def _check(name: str, weight: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(weight.shape) != shape:
        raise CheckpointError(
            f"the checkpoint's weight for '{name}' has the shape {list(weight.shape)},"
            f" its config.json asks for {list(shape)}"
        )
    if not torch.isfinite(weight).all():
        raise CheckpointError(f"the checkpoint's weight for '{name}' holds NaN or infinity")
