"""Patterns that XNNPACK's passes look for, left out where a program cannot have them.

In every part that it is given, ExecuTorch's XNNPACK backend looks for bilinear upsampling and for
``scaled_dot_product_attention`` as they look once they are decomposed. To know that, it first
exports six small models of its own, through dynamo: a quarter of the time that lowering an encoder
of three layers takes. An encoder upsamples nothing, and has no such attention unless its graph is
written with it.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_GRAPHS = "executorch.backends.xnnpack.partition.graphs"
# By a part of the names of operators that decompose to it: where the pattern is kept.
PATTERNS = {
    "upsample_bilinear2d": (f"{_GRAPHS}.bilinear_2d", "get_graphs_dict", dict),
    "scaled_dot_product_attention": (f"{_GRAPHS}.sdpa", "get_graphs", list),
}


@contextlib.contextmanager
def without_needless_patterns(programs: Iterable[ExportedProgram]) -> Iterator[None]:
    """Leave out, in the block, the patterns of operators that no program has.

    In a version of ExecuTorch that keeps them elsewhere, nothing is left out.
    """
    operators = {str(node.target) for program in programs for node in program.graph.nodes}
    with contextlib.ExitStack() as stack:
        for operator, (place, function, nothing) in PATTERNS.items():
            if not any(operator in name for name in operators):
                stack.enter_context(_replaced(place, function, nothing))
        yield


@contextlib.contextmanager
def _replaced(place: str, function: str, substitute: object) -> Iterator[None]:
    try:
        module = importlib.import_module(place)
        original = getattr(module, function)
    except (ImportError, AttributeError):
        yield
        return
    setattr(module, function, substitute)
    try:
        yield
    finally:
        setattr(module, function, original)
