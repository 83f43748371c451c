"""How large a graph's activations become, operation by operation, on real texts.

Half precision ends at 65,504, and eight bits have 256 levels to spread over a range: an operation
of which one value in a thousand is far beyond all others leaves those others few. The graph is
exported as converters see it, so that nothing that is computed is left out, attention scores and
sums included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondevice.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, fx

    from ondevice.graph import MobileGraph

# Operations that compute; the others move values about.
COMPUTING = (
    "add",
    "div",
    "embedding",
    "gelu",
    "layer_norm",
    "linear",
    "matmul",
    "mul",
    "relu",
    "scaled_dot_product_attention",
    "softmax",
    "tanh",
)
# The share of values that `usual` bounds.
USUAL_SHARE = 0.999


@dataclass(frozen=True)
class Range:
    """What one operation gave over all texts.

    Attributes:
        place: the graph's part that it belongs to, as ``layers.0.contract``.
        operation: ATen's name, numbered from the second of a kind in a part on: ``matmul 2``.
        low: the least value.
        high: the greatest.
        usual: of the absolute values, :data:`USUAL_SHARE` lie at or below it.
    """

    place: str
    operation: str
    low: float
    high: float
    usual: float

    @property
    def largest(self) -> float:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def excess(self) -> float:
        """How often the usual range fits into the whole; NaN where all usual values are 0."""
        return self.largest / self.usual if self.usual else math.nan


def observe(graph: MobileGraph, batches: Sequence[Mapping[str, NDArray[np.int32]]]) -> list[Range]:
    """Run a graph and return each operation's range, in the order of computation.

    Args:
        graph: a graph in float32.
        batches: model inputs, int32 [1, L] by name, all of one length; padding counts, as it does
            on a device.

    Raises:
        DataError: there are no batches.
    """
    import torch
    from torch import fx

    if not batches:
        raise DataError("there are no texts to run")
    tensors = [tuple(torch.from_numpy(batch[name]) for name in graph.inputs) for batch in batches]
    program = torch.export.export(graph.module, tensors[0]).module()
    labels = _labels(program)
    seen: dict[fx.Node, _Seen] = {}

    class Observer(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:
            value = super().run_node(node)
            if node in labels:
                seen.setdefault(node, _Seen(len(tensors))).add(value)
            return value

    with torch.no_grad():
        for inputs in tensors:
            Observer(program).run(*inputs)
    return [
        Range(place, operation, seen[node].low, seen[node].high, seen[node].usual)
        for node, (place, operation) in labels.items()
    ]


class _Seen:
    """Least, greatest and usual value so far, of `runs` tensors of one size."""

    def __init__(self, runs: int) -> None:
        self.low, self.high = math.inf, -math.inf
        self._runs = runs
        self._largest: Tensor | None = None

    def add(self, value: Tensor) -> None:
        """Look at a tensor; of its absolute values only the beginning of the tail is kept."""
        import torch

        self.low = min(self.low, float(value.min()))
        self.high = max(self.high, float(value.max()))
        # One tensor alone may hold the whole tail of all.
        tail = max(1, math.ceil((1.0 - USUAL_SHARE) * value.numel() * self._runs))
        flat = value.abs().flatten()
        if self._largest is not None:
            flat = torch.cat([self._largest, flat])
        self._largest = flat.topk(min(tail, flat.numel())).values

    @property
    def usual(self) -> float:
        """The smallest of the kept tail."""
        assert self._largest is not None
        return float(self._largest[-1])


def _labels(program: fx.GraphModule) -> dict[fx.Node, tuple[str, str]]:
    """Return place and operation of each node that computes floats."""
    found: dict[fx.Node, tuple[str, str]] = {}
    counts: dict[tuple[str, str], int] = {}
    for node in program.graph.nodes:
        operation = str(node.target).removeprefix("aten.").split(".")[0]
        value = node.meta.get("val")
        if node.op != "call_function" or operation not in COMPUTING:
            continue
        if not value.is_floating_point():
            continue
        stack = list(node.meta.get("nn_module_stack", {}).values())
        place = stack[-1][0].removeprefix("L['self'].") if stack else ""
        number = counts[place, operation] = counts.get((place, operation), 0) + 1
        found[node] = (place, operation if number == 1 else f"{operation} {number}")
    return found
