"""What the graph's guards against few bits are worth: each artifact with one and without it.

    python benchmarks/quantization_safe.py [--parts mask,clip] [--questions 60]

`mask`: the bias that hides padding is -1e4, or float32's lowest number, as general-purpose model
code has it; half precision on Core ML (in the reference interpreter) and on ONNX Runtime.
`clip`: calibrated ranges end at 8 times what 99.9 % of the values lie within, or where the
calibration saw the greatest value; int8-static on LiteRT.

Each artifact answers the sample questions, padded to --length, and is held against the same graph
in float32: the largest error of a logit, cosine, F1 with the drop's 95 % interval, answers that
changed. Nothing is timed. Writes ``benchmarks/results/quantization_safe.json``; a part that is not
asked for keeps the rows of its last run.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import commands
import machine
import numpy as np
import sample_questions
from sample_questions import Questions

from ondevice import calibration, console, graph, models
from ondevice.errors import DataError
from ondevice.schemes import get_scheme
from ondevice.targets import TARGETS, _tflite_ranges
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.verify.runners import open_runner

RESULTS = Path(__file__).parent / "results" / "quantization_safe.json"
FLOAT32_LOWEST = -3.4028234663852886e38

# Takes a guard away while an artifact is made.
Without = Callable[[], contextlib.AbstractContextManager[Any]]


def lowest_mask() -> contextlib.AbstractContextManager[Any]:
    """Hide padding by float32's lowest number."""
    return mock.patch.object(graph, "MASK_BIAS", FLOAT32_LOWEST)


def whole_ranges() -> contextlib.AbstractContextManager[Any]:
    """Leave calibrated ranges as they are."""
    return mock.patch.object(_tflite_ranges, "clip", lambda ranges, *_: ranges)


@dataclass(frozen=True)
class Variant:
    """An artifact of one target and scheme, made with a guard or without it."""

    part: str
    target: str
    scheme: str
    guard: str
    without: Without = contextlib.nullcontext


VARIANTS = (
    Variant("mask", "coreml", "fp16", "mask bias -1e4"),
    Variant("mask", "coreml", "fp16", "mask bias of float32's lowest", lowest_mask),
    Variant("mask", "onnx", "fp16", "mask bias -1e4"),
    Variant("mask", "onnx", "fp16", "mask bias of float32's lowest", lowest_mask),
    Variant("clip", "tflite", "int8-static", "ranges clipped"),
    Variant("clip", "tflite", "int8-static", "ranges as calibrated", whole_ranges),
)
PARTS = tuple(dict.fromkeys(variant.part for variant in VARIANTS))


def measure(variant: Variant, questions: Questions, directory: Path) -> dict[str, Any]:
    """Make an artifact, ask it, and return its row."""
    row: dict[str, Any] = {
        "part": variant.part,
        "target": variant.target,
        "scheme": variant.scheme,
        "guard": variant.guard,
        "questions": len(questions.examples),
    }
    target = TARGETS[variant.target]
    checkpoint, length = questions.checkpoint, questions.length
    made = graph.from_checkpoint(checkpoint, target.form(), length)
    calibrated = get_scheme(variant.scheme).calibrated
    options = ConvertOptions(
        scheme=variant.scheme,
        lengths=(length,),
        labels=Labels(checkpoint.name, checkpoint.task, "ondevice", checkpoint.licence, "1"),
        calibration=calibration.from_samples(checkpoint) if calibrated else None,
    )
    path = directory / target.file
    with console.quiet(directory / "log"), variant.without():
        target.convert(made, options, path)
    runner, evidence = open_runner(variant.target, path, made.outputs)
    row |= {"runtime": f"{runner.runtime} {runner.version}", "evidence": evidence}
    logits: list[np.ndarray] = []
    try:
        taken = made.inputs
        scores = questions.ask(lambda given: runner.run({n: given[n] for n in taken}), logits)
    except DataError as error:
        return row | {"failure": str(error)}
    return row | questions.held_against(scores, logits)


def run(arguments: argparse.Namespace, parts: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the parts."""
    questions = Questions(models.load(arguments.model, "qa"), arguments.length, arguments.questions)
    for variant in VARIANTS:
        if variant.part in parts:
            sys.stderr.write(f"{variant.target} {variant.scheme}, {variant.guard}\n")
            with tempfile.TemporaryDirectory() as directory:
                yield measure(variant, questions, Path(directory))


def main() -> int:
    """Measure, print the table, write the results; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument("--parts", default=",".join(PARTS), help="(default: %(default)s)")
    parser.add_argument(
        "--questions",
        type=commands.whole("--questions", 0),
        default=60,
        help="0 for all 312 (default: 60)",
    )
    parser.add_argument("--length", type=commands.whole("--length", 16), default=384)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    parts = commands.words(arguments.parts, "part", PARTS)
    same = {
        "model": arguments.model,
        # Of the checkpoint's weights: figures of another one are not these.
        "model_sha256": models.load(arguments.model, "qa").sha256,
        "length": arguments.length,
    }
    earlier = kept(arguments.results, same)
    rows = list(run(arguments, parts))
    rows += [row for row in earlier if row["part"] not in parts]
    rows.sort(key=lambda row: PARTS.index(row["part"]))
    commands.write(arguments.results, {"machine": machine.describe(), **same, "rows": rows})
    headers = ("target", "scheme", "guard", *sample_questions.HEADERS, "asked")
    print(console.table(headers, [cells(row) for row in rows]))
    return 0


def kept(path: Path, same: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an earlier run of the same model and length, if there was one.

    Raises:
        UserError: the file is no result.
    """
    if not path.is_file():
        return []
    found = commands.read(path)
    rows: list[dict[str, Any]] = found.get("rows", [])
    return rows if all(found.get(name) == value for name, value in same.items()) else []


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a table row."""
    head = row["target"], row["scheme"], row["guard"]
    if "failure" in row:
        return (*head, row["failure"], "–", "–", "–", "–", str(row["questions"]))
    return (*head, *sample_questions.cells(row), str(row["questions"]))


if __name__ == "__main__":
    sys.exit(commands.run(main))
