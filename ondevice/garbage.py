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
    gc.freeze()
    try:
        yield
    finally:
        _forget_exported()
        gc.collect()
        gc.unfreeze()
        if enabled:
            gc.enable()


def _forget_exported() -> None:
    """Let go of what torch.export keeps of every program, weights included.

    In torch 2.13 a table of its module maps the identities of tensors, long gone, to the nodes of
    graphs, each of which holds its whole program: a build of all targets held the weights of each.
    """
    module = sys.modules.get("torch.fx.experimental.proxy_tensor")
    getattr(module, "_FAKE_TENSOR_ID_TO_PROXY_MAP_FOR_EXPORT", {}).clear()


def trim() -> None:
    """Give back to the system what the C library keeps of freed memory, where it is glibc.

    About 90 MB after each target, which would add up over a build of all.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
