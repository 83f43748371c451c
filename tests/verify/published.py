"""Real bundles of the tiny checkpoints, each built once for all tests that ask for it."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ondevice import build, console, schemes
from ondevice.plan import BuildOptions
from ondevice.schemes import ParityLimit
from ondevice.targets import _tflite_schemes
from tests.requirements import need

# Lowering takes ExecuTorch 10 s a length.
LENGTHS = {"tflite": (16, 32), "onnx": (16, 32), "executorch": (32,), "coreml": (16, 32)}
# What each test file asks for comes from one build: lowering is the slow part, and shared.
SCHEMES = {
    "tflite": ("fp32", "fp16", "int8", "int8-weight"),
    "onnx": ("fp32", "int8", "int4"),
    "executorch": ("fp32", "int8"),
    "coreml": ("fp16",),
}

_BUILT: dict[tuple[str, str], Path] = {}

Published = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def published(
    tiny: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Published:
    """Return a function from (target, scheme) to a published bundle of a tiny BERT for qa."""

    def get(target: str, scheme: str) -> Path:
        need(target)
        if (target, scheme) not in _BUILT:
            out = tmp_path_factory.mktemp("published")
            with _wider_int4():
                made = build.run(
                    BuildOptions(
                        model=str(tiny("bert", "qa")),
                        targets=(target,),
                        schemes=SCHEMES[target],
                        lengths=LENGTHS[target],
                        out=out,
                    ),
                    console.Progress(),
                )
            for one in made:
                assert not one.failure, one.failure
                _BUILT[target, one.job.scheme.name] = one.job.place
        return _BUILT[target, scheme]

    return get


@contextlib.contextmanager
def _wider_int4() -> Iterator[None]:
    """Let random weights of width 32 pass, which lose more to 4 bits than a real model's."""
    wider = dataclasses.replace(schemes.SCHEMES["int4"], limit=ParityLimit(min_cosine=0.7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(schemes.SCHEMES, "int4", wider)
        yield


def unguarded_int8() -> _tflite_schemes.TfliteScheme:
    """What the quantizer makes of int8 by itself: scales by row in operators of version 1."""
    return dataclasses.replace(_tflite_schemes.SCHEMES["int8"], versions={}, oldest="1.5.0")


def copy_of(bundle_dir: Path, place: Path) -> Path:
    """Copy a bundle, to be altered."""
    return Path(shutil.copytree(bundle_dir, place))


def encoder_macs(length: int, *, width: int = 32, layers: int = 2, inner: int = 64) -> int:
    """Multiply-accumulates of the tiny BERT with a two-row head, from its shapes."""
    projections = 4 * length * width * width
    attention = 2 * length * length * width
    return layers * (projections + attention + 2 * length * width * inner) + 2 * length * width


def norm_macs(length: int, *, width: int = 32, layers: int = 2) -> int:
    """Multiply-accumulates of its layer norms, where their two means are products with a column."""
    return (2 * layers + 1) * 2 * length * width
