"""The same encoder in the layout that Apple recommends for its Neural Engine.

The principles are those of "Deploying Transformers on the Apple Neural Engine" (Apple, 2022,
machinelearning.apple.com/research/neural-engine-transformers), whose code is ml-ane-transformers;
here they are written anew, over the weights of a :class:`ondevice.graph.MobileGraph`:

- activations are [1, C, 1, L], channels first, the sequence on the last, aligned axis;
- every linear layer is a convolution with a 1x1 kernel;
- each attention head is computed by itself, on chunks that stay in the engine's cache;
- no reshape, and one transpose in each layer, that of the keys; the two products of attention are
  written as the one einsum that Core ML has, ``nchw,nwhu->nchu``;
- layer norm is taken over the channel axis, in the form that Core ML's converter takes for one
  ``layer_norm`` over that axis.

It computes what the graph computes but for rounding. What it gains only a phone can tell.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from ondevice.architectures import Encoder
from ondevice.graph import MASK_BIAS, Embeddings, GraphForm, MobileEncoder, MobileGraph
from ondevice.graph_heads import (
    ClassifyHead,
    EmbedHead,
    HeadModule,
    SpanHead,
    TokensHead,
    activate,
)

# The layer norm's bias is divided by its weight (see ChannelNorm). A weight nearer to zero than
# this is moved to it, which changes a normalized value of 10 by 1e-5 (by 4e-5 of what a checkpoint
# has, where a quarter is carried).
LEAST_NORM_WEIGHT = 1e-6


def to_channels_first(graph: MobileGraph, least_epsilon: float = 0.0) -> MobileGraph:
    """Return the graph in the Neural Engine's layout; large weights are shared, not copied.

    Args:
        graph: the graph in its usual layout.
        least_epsilon: layer-norm epsilons below this are raised to it, for half precision.
    """
    encoder = graph.encoder
    with torch.device("meta"):
        head = channels_first_head(graph.module.get_submodule("head"), encoder.width, graph.labels)
        module = ChannelsFirstEncoder(encoder, head)
    module.load_state_dict(_arranged(graph, module), strict=True, assign=True)
    for name, norm in module.named_modules():
        if isinstance(norm, ChannelNorm):
            usual = graph.module.get_submodule(name)
            assert isinstance(usual, nn.LayerNorm)
            norm.epsilon = max(usual.eps, least_epsilon)
    module.eval().requires_grad_(False)
    return replace(graph, module=module)


def _arranged(graph: MobileGraph, module: nn.Module) -> dict[str, Tensor]:
    """Return the graph's weights in the shapes and order of operations of `module`."""
    given = graph.module.state_dict()
    weights: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        weight = given[name]
        owner, _, part = name.rpartition(".")
        if owner.endswith("norm"):
            divisor = _away_from_zero(given[f"{owner}.weight"])
            weight = weight / divisor if part == "bias" else divisor
        weights[name] = weight.reshape(parameter.shape)
    return weights


def _away_from_zero(weight: Tensor) -> Tensor:
    small = weight.abs() < LEAST_NORM_WEIGHT
    return torch.where(small, torch.full_like(weight, LEAST_NORM_WEIGHT), weight)


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a linear layer over the channels: [B, C_in, 1, L] to [B, C_out, 1, L]."""
    return nn.Conv2d(inputs, outputs, kernel_size=1)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of [B, C, 1, L].

    The bias, divided by the weight, is added before the weight is applied: the order in which
    Core ML's converter knows a layer norm over this axis (coremltools,
    ``fuse_layernorm_or_instancenorm``, pattern 5). It folds the two back when it fuses.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(1, channels, 1, 1))
        # The graph's, which differs between the embeddings and the layers: see to_channels_first.
        self.epsilon = math.nan

    def forward(self, hidden: Tensor) -> Tensor:
        centred = hidden - hidden.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        return (centred * torch.rsqrt(variance + self.epsilon) + self.bias) * self.weight


class HeadwiseAttention(nn.Module):
    """Multi-head self-attention, head by head, [B, W, 1, L] to [B, W, 1, L]."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.head_width = encoder.width // encoder.heads
        self.query = pointwise(encoder.width, encoder.width)
        self.key = pointwise(encoder.width, encoder.width)
        self.value = pointwise(encoder.width, encoder.width)
        self.output = pointwise(encoder.width, encoder.width)

    def forward(self, hidden: Tensor, mask_bias: Tensor) -> Tensor:
        queries = self.query(hidden).split(self.head_width, dim=1)
        keys = self.key(hidden).transpose(1, 3).split(self.head_width, dim=3)
        values = self.value(hidden).split(self.head_width, dim=1)
        contexts = [
            self._attend(query, key, value, mask_bias)
            for query, key, value in zip(queries, keys, values, strict=True)
        ]
        merged: Tensor = self.output(torch.cat(contexts, dim=1))
        return merged

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask_bias: Tensor) -> Tensor:
        """One head: [B, D, 1, L], [B, L, 1, D], [B, D, 1, L] and [B, L, 1, 1] to [B, D, 1, L]."""
        scores = torch.einsum("bkhc,bchq->bkhq", key, query) + mask_bias
        return torch.einsum("bchk,bkhq->bchq", value, torch.softmax(scores, dim=1))


class Layer(nn.Module):
    """A post-norm transformer layer, [B, W, 1, L] to [B, W, 1, L]."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.attention = HeadwiseAttention(encoder)
        self.attention_norm = ChannelNorm(encoder.width)
        self.expand = pointwise(encoder.width, encoder.intermediate)
        self.contract = pointwise(encoder.intermediate, encoder.width)
        self.output_norm = ChannelNorm(encoder.width)
        self.activation = encoder.activation

    def forward(self, hidden: Tensor, mask_bias: Tensor) -> Tensor:
        hidden = self.attention_norm(hidden + self.attention(hidden, mask_bias))
        inner = activate(self.expand(hidden), self.activation)
        out: Tensor = self.output_norm(hidden + self.contract(inner))
        return out


class ChannelsFirstEmbeddings(Embeddings):
    """The embeddings, normalized: ids [B, L] to [B, W, 1, L]."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder, GraphForm())
        self.norm = ChannelNorm(encoder.embedding_width)
        if self.project is not None:
            self.project = pointwise(encoder.embedding_width, encoder.width)

    def total(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        return super().total(input_ids, token_type_ids).transpose(1, 2).unsqueeze(2)


class ChannelsFirstSpan(HeadModule):
    """Start and end scores, each [B, L], from [B, W, 1, L]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scores = pointwise(width, 2)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        scores = self.scores(hidden)
        return scores[:, 0, 0], scores[:, 1, 0]


class ChannelsFirstClassify(HeadModule):
    """Class scores [B, C] from the first token of [B, W, 1, L]."""

    def __init__(self, width: int, labels: int, activation: str) -> None:
        super().__init__()
        self.dense = pointwise(width, width)
        self.scores = pointwise(width, labels)
        self.activation = activation

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        first = activate(self.dense(hidden[..., :1]), self.activation)
        return (self.scores(first).squeeze(3).squeeze(2),)


class ChannelsFirstTokens(HeadModule):
    """Label scores [B, L, C] for each token of [B, W, 1, L]."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.scores = pointwise(width, labels)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return (self.scores(hidden).squeeze(2).transpose(1, 2),)


class ChannelsFirstEmbed(EmbedHead):
    """A sentence embedding [B, W] of length 1 from [B, W, 1, L]."""

    def pool(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean [B, W]; weights [B, L] that sum to one."""
        pooled = torch.einsum("bchl,blhu->bchu", hidden, weights[:, :, None, None])
        return pooled.squeeze(3).squeeze(2)


def channels_first_head(head: nn.Module, width: int, labels: int) -> HeadModule:
    """Return the counterpart of a head of the graph, its weights yet to be loaded."""
    if isinstance(head, SpanHead):
        return ChannelsFirstSpan(width)
    if isinstance(head, ClassifyHead):
        return ChannelsFirstClassify(width, labels, head.activation)
    if isinstance(head, TokensHead):
        return ChannelsFirstTokens(width, labels)
    if isinstance(head, EmbedHead):
        return ChannelsFirstEmbed()
    raise ValueError(f"{type(head).__name__} has no counterpart with the channels first")


class ChannelsFirstEncoder(MobileEncoder):
    """The encoder, called as its base is; parameters have the same names."""

    def __init__(self, encoder: Encoder, head: HeadModule) -> None:
        nn.Module.__init__(self)
        self.embeddings = ChannelsFirstEmbeddings(encoder)
        self.layers = nn.ModuleList(Layer(encoder) for _ in range(encoder.layers))
        self.head = head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        hidden = self.embeddings(input_ids, token_type_ids)
        mask_bias = (1.0 - attention_mask[:, :, None, None].to(hidden.dtype)) * MASK_BIAS
        for layer in self.layers:
            hidden = layer(hidden, mask_bias)
        outputs: tuple[Tensor, ...] = self.head(hidden, attention_mask)
        return outputs
