"""Get at coremltools' generated protobuf classes, and at nothing else of coremltools.

`import coremltools.proto` would run the whole package: seconds of importing torch, transformers,
scikit-learn and torchao, with warnings of each. The generated modules need only
`google.protobuf`, and a reader that runs no line of the exporter is the better witness.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ondevice.errors import require
from ondevice.verify.mil.errors import MilPackageError

# The name under which the directory `coremltools/proto` is imported on its own.
_ALIAS = "_ondevice_coreml_proto"


def parse_model(data: bytes, name: str) -> Any:
    """Parse the bytes of a `.mlmodel` into coremltools' `Model` message."""
    model = _messages().Model()
    decode_error = require("google.protobuf.message", extra="coreml").DecodeError
    try:
        model.ParseFromString(data)
    except decode_error as error:
        raise MilPackageError(f"'{name}' is not a Core ML model: {error}") from error
    return model


def _messages() -> ModuleType:
    """Import `Model_pb2`; the package around it is entered only if it already was."""
    spec = importlib.util.find_spec("coremltools")
    if "coremltools" in sys.modules or spec is None or spec.origin is None:
        return require("coremltools.proto.Model_pb2", extra="coreml")
    if _ALIAS not in sys.modules:
        alias = importlib.machinery.ModuleSpec(_ALIAS, None, is_package=True)
        alias.submodule_search_locations = [str(Path(spec.origin).parent / "proto")]
        sys.modules[_ALIAS] = importlib.util.module_from_spec(alias)
    return require(f"{_ALIAS}.Model_pb2", extra="coreml")
