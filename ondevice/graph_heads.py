"""The heads of the graph: from the encoder's hidden states to a task's outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice.architectures import Encoder, Head


def activate(x: Tensor, name: str) -> Tensor:
    """Apply an activation of :data:`ondevice.architectures.ACTIVATIONS`, or tanh."""
    if name == "gelu":
        return functional.gelu(x)
    if name == "gelu_tanh":
        return functional.gelu(x, approximate="tanh")
    if name == "tanh":
        return torch.tanh(x)
    return torch.relu(x)


class HeadModule(nn.Module):
    """The task's head. Subclasses return one tensor for each role of the task, in order."""

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError


class SpanHead(HeadModule):
    """Start and end scores, each [B, L], from one small matmul."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scores = nn.Linear(width, 2)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        scores = self.scores(hidden)
        return scores[..., 0], scores[..., 1]


class ClassifyHead(HeadModule):
    """Class scores [B, C] from the first token."""

    def __init__(self, width: int, labels: int, activation: str) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.scores = nn.Linear(width, labels)
        self.activation = activation

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return (self.scores(activate(self.dense(hidden[:, 0]), self.activation)),)


class TokensHead(HeadModule):
    """Label scores [B, L, C] for each token."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.scores = nn.Linear(width, labels)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return (self.scores(hidden),)


class EmbedHead(HeadModule):
    """A sentence embedding [B, W] of length 1: the mean over tokens that are not padding.

    As sentence-transformers pools (Reimers and Gurevych 2019, section 3).
    """

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        # The mean as a [B, 1, L] x [B, L, W] product with weights that sum to one: no sum over
        # L large values, which would lose precision in fp16.
        mask = attention_mask.to(hidden.dtype)
        weights = mask / mask.sum(dim=1, keepdim=True).clamp(min=1.0)
        pooled = self.pool(hidden, weights)
        norm = (pooled * pooled).sum(dim=-1, keepdim=True).clamp(min=1e-6).sqrt()
        return (pooled / norm,)

    def pool(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean [B, W] of [B, L, W]; weights [B, L] that sum to one."""
        return torch.matmul(weights.unsqueeze(1), hidden).squeeze(1)


def make_head(task: str, encoder: Encoder, head: Head) -> HeadModule:
    """Return the head of a task, its weights yet to be loaded."""
    if task == "qa":
        return SpanHead(encoder.width)
    if task == "classify":
        return ClassifyHead(encoder.width, head.labels, head.activation)
    if task == "tokens":
        return TokensHead(encoder.width, head.labels)
    if task == "embed":
        return EmbedHead()
    raise ValueError(f"task '{task}' has no head in the graph")
