"""Libraries that set up logging when they are imported, kept from doing so."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def root_logger_restored() -> Iterator[None]:
    """Undo any ``logging.basicConfig`` in the block.

    ExecuTorch's partitioner and ONNX Runtime's quantizers call it when they are imported.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
