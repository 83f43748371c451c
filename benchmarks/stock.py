"""Stock conversions: the Hugging Face model itself, through each converter's documented path.

    python benchmarks/stock.py PATH --model DIR --length 384 --out FILE

This is what a person gets who follows the converter's own guide. Other benchmarks call
:func:`make`, which runs this file in a process of its own, so that a converter that crashes is a
finding and not the end of the benchmark. Weights stay float32.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
import processes

from ondevice import bundle, models

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ondevice.models import Checkpoint

REASON_CHARACTERS = 300
# Of ONNX Runtime's transformer optimizer; None is its default for BERT, 0 has its fusions in Python
# alone, 99 adds all of the runtime's own, written down.
DEFAULT_LEVELS = (None, 0)
ALL_LEVELS = (99,)


@dataclass(frozen=True)
class Source:
    """What a path converts.

    Attributes:
        model: the transformers model, in evaluation mode.
        sample: int64 [1, L] in the order in which its ``forward`` takes them.
        inputs: their names.
        shape: heads and width of the encoder.
    """

    model: nn.Module
    sample: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    shape: tuple[int, int]


@dataclass(frozen=True)
class StockPath:
    """One converter's documented path.

    Attributes:
        target: the target of ondevice that its artifacts compare with.
        title: how it is called in tables.
        convert: writes the artifact; returns what is worth noting about it.
    """

    target: str
    title: str
    suffix: str
    convert: Callable[[Source, Path], dict[str, Any]]


def _tflite(source: Source, path: Path) -> dict[str, Any]:
    import litert_torch

    litert_torch.convert(source.model, source.sample).export(str(path))
    return {}


def _executorch(source: Source, path: Path) -> dict[str, Any]:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    source.model.set_attn_implementation("sdpa")  # type: ignore[operator]
    exported = torch.export.export(source.model, source.sample)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    with path.open("wb") as stream:
        lowered.to_executorch().write_to_file(stream)
    return {}


def _onnx(source: Source, path: Path) -> dict[str, Any]:
    import torch

    # One file, so that its size is the artifact's; the numbers in it are the same.
    torch.onnx.export(
        source.model,
        source.sample,
        path,
        dynamo=True,
        input_names=list(source.inputs),
        external_data=False,
        verbose=False,
    )
    return {}


def _onnx_optimized(
    source: Source, path: Path, levels: Sequence[int | None] = DEFAULT_LEVELS
) -> dict[str, Any]:
    """Optimize with the first level whose result ONNX Runtime loads.

    With onnxruntime 1.32 the default level writes a file for DistilBERT that the same version does
    not load ("Attempt to replace the existing tensor").
    """
    import onnxruntime
    from onnxruntime.transformers import optimizer

    plain = path.with_name(f"{path.stem}-plain.onnx")
    _onnx(source, plain)
    heads, width = source.shape
    refused = {}
    for level in levels:
        optimized = optimizer.optimize_model(
            str(plain), model_type="bert", num_heads=heads, hidden_size=width, opt_level=level
        )
        optimized.save_model_to_file(str(path))
        try:
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - the runtime raises anything
            refused[str(level)] = _sentence(error)
            continue
        plain.unlink()
        fused = optimized.get_fused_operator_statistics()
        done = {name: count for name, count in fused.items() if count}
        return {"opt_level": level, "fused": done, "refused": refused}
    raise RuntimeError(f"ONNX Runtime loads none of its optimizer's files: {refused}")


def _coreml(source: Source, path: Path) -> dict[str, Any]:
    import coremltools as ct
    import torch

    exported = torch.export.export(source.model, source.sample).run_decompositions({})
    ct.convert(exported, minimum_deployment_target=ct.target.iOS18).save(str(path))
    return {}


PATHS: dict[str, StockPath] = {
    "tflite": StockPath("tflite", "litert_torch.convert", ".tflite", _tflite),
    "executorch": StockPath("executorch", "export + XNNPACK recipe", ".pte", _executorch),
    "onnx": StockPath("onnx", "torch.onnx.export", ".onnx", _onnx),
    "onnx-optimized": StockPath("onnx", "torch.onnx.export + optimizer", ".onnx", _onnx_optimized),
    "onnx-optimized-all": StockPath(
        "onnx", "… + optimizer, all levels", ".onnx", partial(_onnx_optimized, levels=ALL_LEVELS)
    ),
    "coreml": StockPath("coreml", "ct.convert", ".mlpackage", _coreml),
}


@dataclass(frozen=True)
class Made:
    """What came of a stock conversion.

    Attributes:
        path: the artifact; None if there is none.
        reason: why not.
        seconds: of converting, the converter's imports included, the loading of weights left out.
        notes: what the path has to say about the artifact.
    """

    name: str
    path: Path | None
    inputs: tuple[str, ...]
    reason: str
    seconds: float | None
    notes: dict[str, Any]


def make(checkpoint: Checkpoint, name: str, length: int, directory: Path) -> Made:
    """Convert a checkpoint by a stock path in a fresh process, or find what that made before.

    Args:
        checkpoint: a question-answering checkpoint.
        name: a key of :data:`PATHS`.
        length: L, fixed.
        directory: where artifacts lie, each beside its record.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{checkpoint.name}-{name}-{length}{PATHS[name].suffix}"
    record = path.with_name(f"{path.name}.json")
    key = {
        "weights": checkpoint.sha256,
        "packages": machine.describe()["packages"],
        "recipe": bundle.hash_file(Path(__file__)),
    }
    found = json.loads(record.read_text()) if record.is_file() else {}
    if found.get("key") != key or not path.exists():
        record.unlink(missing_ok=True)
        command = [sys.executable, str(Path(__file__).resolve()), name]
        command += ["--model", str(checkpoint.directory), "--length", str(length)]
        ended = processes.run([*command, "--out", str(path)])
        if not record.is_file():
            return Made(name, None, (), f"the converter's process {ended.reason}", None, {})
        found = {**json.loads(record.read_text()), "key": key}
        record.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if found["reason"]:
        return Made(name, None, (), found["reason"], None, {})
    return Made(name, path, tuple(found["inputs"]), "", found["seconds"], found["notes"])


def load_source(checkpoint: Checkpoint, length: int) -> Source:
    """Load a checkpoint as transformers does, with a real text as sample inputs, half padding."""
    import inspect

    import torch

    from ondevice.targets.base import INPUTS
    from ondevice.tasks import TASKS
    from ondevice.verify import reference

    model = reference.load_model(checkpoint)
    accepted = inspect.signature(model.forward).parameters
    types = int(getattr(model.config, "type_vocab_size", 0))
    inputs = tuple(
        name for name in INPUTS if name in accepted and (types > 1 or name != "token_type_ids")
    )
    arrays = reference.encode_examples(checkpoint.tokenizer, TASKS[checkpoint.task], length)[0]
    sample = tuple(torch.from_numpy(arrays[name]).long() for name in inputs)
    return Source(model, sample, inputs, (checkpoint.encoder.heads, checkpoint.encoder.width))


def convert(name: str, model: str, length: int, out: Path) -> dict[str, Any]:
    """Convert in this process; return the record that is written beside the artifact."""
    record: dict[str, Any] = {"inputs": [], "seconds": None, "notes": {}, "reason": ""}
    try:
        source = load_source(models.load(model), length)
        record["inputs"] = list(source.inputs)
        start = time.perf_counter()
        record["notes"] = PATHS[name].convert(source, out)
        record["seconds"] = round(time.perf_counter() - start, 1)
    except Exception as error:  # noqa: BLE001 - converters raise anything
        record["reason"] = _sentence(error)
    return record


def _sentence(error: BaseException) -> str:
    """Return the cause of an error on one line: converters wrap it in texts of many."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or ['no message'])[0]}"[:REASON_CHARACTERS]


def main() -> None:
    """Convert, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path", choices=PATHS)
    parser.add_argument("--model", required=True)
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    record = convert(arguments.path, arguments.model, arguments.length, arguments.out)
    place = arguments.out.with_name(f"{arguments.out.name}.json")
    place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(record["reason"] or f"{arguments.out} in {record['seconds']} s", file=sys.stderr)


if __name__ == "__main__":
    main()
