"""Memory between the steps of a build, which make a great deal and then need little of it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def collected_after() -> Iterator[None]:
    """Collect once, after the block, instead of over and over in it.

    Converters import thousands of modules and make millions of objects; the collector looks
    through all of them whenever there are a quarter more. What was there before the block is left
    out of the one collection, and what is then let go is the weights that a graph's cycles hold.
    """
    enabled = gc.isenabled()
    gc.disable()
    # What is frozen is not listed afterwards.
    keepers = _keepers()
    gc.freeze()
    try:
        yield
    finally:
        _forget(keepers + _keepers())
        gc.collect()
        gc.unfreeze()
        if enabled:
            gc.enable()


# Objects of packages, made once when they are imported, that remember the last graph that they
# looked at, weights included: their types, and the attributes that hold it. None of them is read
# before it is set anew.
_KEEPERS = {
    ("onnxscript.rewriter._matcher", "SimplePatternMatcher"): ("_match", "_current_node", "_graph"),
    ("executorch.exir.backend.utils", "WhyNoPartition"): ("node",),
}


def _keepers() -> list[object]:
    """Return the keepers that there are, of the packages that are imported."""
    kinds = {
        getattr(sys.modules.get(module), name, None): (module, name) for module, name in _KEEPERS
    }
    kinds.pop(None, None)
    return [each for each in gc.get_objects() if type(each) in kinds] if kinds else []


def _forget(keepers: list[object]) -> None:
    """Let go of the graphs that packages keep, which would add up over a build of all targets."""
    for keeper in keepers:
        kind = type(keeper)
        for name in _KEEPERS[kind.__module__, kind.__name__]:
            if hasattr(keeper, name):
                setattr(keeper, name, None)
    # In torch 2.13 a table maps the identities of tensors, long gone, to the nodes of graphs, each
    # of which holds its whole program.
    module = sys.modules.get("torch.fx.experimental.proxy_tensor")
    getattr(module, "_FAKE_TENSOR_ID_TO_PROXY_MAP_FOR_EXPORT", {}).clear()
    # A cache without bounds of pairs of nodes.
    module = sys.modules.get("executorch.exir.backend.utils")
    getattr(getattr(module, "is_same_node", None), "cache_clear", lambda: None)()


def trim() -> None:
    """Give back to the system what the C library keeps of freed memory, where it is glibc.

    About 90 MB after each target, which would add up over a build of all.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
