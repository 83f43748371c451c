"""What Core ML schemes that are not offered would give, beside those that are.

    python benchmarks/coreml_candidates.py [--model student] [--length 384] [--examples 100]
        [--schemes pal6,sparse30-pal6,…]

- ``sparseN-palB``: the N % smallest weights of each matrix are zero, the others places in a table
  of 2**B values (``prune_weights``, then ``palettize_weights(joint_compression=True)``, iOS 18);
- ``int8-activations``: int8 weights, and the inputs of every linear layer rounded to 8 bits with
  one calibrated range each (``linear_quantize_activations``, iOS 17). coremltools sees the ranges
  by running the model, which needs a Mac; here the reference interpreter runs it on the project's
  calibration texts, and the library inserts the ops.

Each candidate answers the sample questions in the reference interpreter, from its package on disk,
and is held against the checkpoint. Prints a table, adds to
``benchmarks/results/coreml_candidates.json``. Nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import commands
import figures
import machine
import numpy as np
from numpy.typing import NDArray

from ondevice import bundle, calibration, console, graph, models, samples
from ondevice.errors import UserError
from ondevice.inference import answer
from ondevice.models import Checkpoint
from ondevice.targets import _coreml_weights
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.coreml import COREML
from ondevice.tasks import qa, qa_scores
from ondevice.verify import reference
from ondevice.verify.mil import FiniteReport, MilModel
from ondevice.verify.task_gate import spread

RESULTS = Path(__file__).parent / "results" / "coreml_candidates.json"
OFFERED = ("fp16", "int8", "int4", "pal6", "pal4")
SPARSE = re.compile(r"sparse(\d\d)-pal([46])")
ACTIVATIONS = "int8-activations"
SCHEMES = (
    *("pal6", "pal4", "int4"),
    *(f"sparse{share}-pal{bits}" for bits in (6, 4) for share in (30, 40, 50)),
    ACTIVATIONS,
)
HEADERS = ("scheme", "MB", "lowest cosine", "F1", "F1 drop", "flips")

Arrays = Mapping[str, NDArray[Any]]


def main() -> int:
    """Make and score each candidate; print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="student", help="embedded name or directory, for qa")
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--examples", type=int, default=100, help="of the sample questions; 0: all")
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    checkpoint = models.load(arguments.model, "qa")
    judge = Judge(checkpoint, arguments.length, arguments.examples)
    records = []
    with tempfile.TemporaryDirectory() as directory:
        for scheme in commands.words(arguments.schemes, "scheme"):
            path = Path(directory) / f"{scheme}.mlpackage"
            make(checkpoint, scheme, arguments.length, path)
            records.append({"scheme": scheme, **judge.score(path)})
            sys.stderr.write(f"{scheme} done\n")
    commands.write(arguments.results, merged(arguments, checkpoint, records))
    sys.stdout.write(console.table(HEADERS, [row(record) for record in records]) + "\n")
    return 0


def merged(
    arguments: argparse.Namespace, checkpoint: Checkpoint, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the results file's document: of equal questions, earlier schemes stay."""
    head = {
        "model": arguments.model,
        "model_sha256": checkpoint.sha256,
        "length": arguments.length,
        "examples": arguments.examples,
    }
    kept: dict[str, Any] = {}
    if arguments.results.is_file():
        old = json.loads(arguments.results.read_text(encoding="utf-8"))
        if {name: old.get(name) for name in head} == head:
            kept = {record["scheme"]: record for record in old["candidates"]}
    kept |= {record["scheme"]: record for record in records}
    return {**head, "machine": machine.describe(), "candidates": list(kept.values())}


def row(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a candidate's row of the table."""
    return (
        record["scheme"],
        f"{record['bytes'] / 1e6:.1f}",
        f"{record['cosine']:.5f}",
        f"{record['f1']:.1f}",
        figures.as_text(record["f1_drop"]),
        f"{record['flips_percent']:.0f} %",
    )


# --- making them ---


def make(checkpoint: Checkpoint, scheme: str, length: int, path: Path) -> None:
    """Write the package of a scheme, offered or not.

    Raises:
        UserError: there is no such scheme.
    """
    sparse = SPARSE.fullmatch(scheme)
    if scheme in OFFERED:
        convert(checkpoint, scheme, length, path)
    elif sparse or scheme == ACTIVATIONS:
        half = path.with_name(f"{scheme}-fp16.mlpackage")
        convert(checkpoint, "fp16", length, half, ios=18 if sparse else 17)
        model = open_model(half)
        if sparse:
            model = prune(model, int(sparse[1]) / 100, int(sparse[2]))
        else:
            model = round_activations(model, observe(half, checkpoint, length))
            model = _coreml_weights.SCHEMES["int8"].compress(model, checkpoint.encoder, ())
        model.save(str(path))
    else:
        raise UserError(f"unknown scheme '{scheme}'; available: {', '.join((*OFFERED, *SCHEMES))}")


def convert(
    checkpoint: Checkpoint, scheme: str, length: int, path: Path, ios: int | None = None
) -> None:
    """Convert as a build does."""
    labels = Labels(checkpoint.name, "qa", "ondevice", checkpoint.licence, "0")
    built = graph.from_checkpoint(checkpoint, COREML.form(), length)
    COREML.convert(built, ConvertOptions(scheme, (length,), labels, ios), path)


def open_model(path: Path) -> Any:
    """Return a package as coremltools edits it."""
    import coremltools as ct

    return ct.models.MLModel(str(path), skip_model_load=True)


def prune(model: Any, share: float, bits: int) -> Any:
    """Zero the smallest weights of each matrix, then put the others into a table."""
    import coremltools.optimize.coreml as optimize

    threshold = _coreml_weights.THRESHOLD
    smallest = optimize.OpMagnitudePrunerConfig(target_sparsity=share, weight_threshold=threshold)
    model = optimize.prune_weights(model, optimize.OptimizationConfig(smallest))
    table = optimize.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=threshold)
    config = optimize.OptimizationConfig(table)
    return optimize.palettize_weights(model, config, joint_compression=True)


@dataclass
class Ranges(FiniteReport):
    """The least and the greatest value that each value of a program took in all runs."""

    seen: dict[str, tuple[float, float]] = field(default_factory=dict)

    def record(self, op: Any, operands: list[Any], results: list[Any]) -> None:
        """Note the range of each float that the op makes."""
        for (name, _), value in zip(op.outputs, results, strict=True):
            if value.is_floating_point():
                low, high = self.seen.get(name, (np.inf, -np.inf))
                self.seen[name] = min(low, float(value.min())), max(high, float(value.max()))


def observe(path: Path, checkpoint: Checkpoint, length: int) -> dict[str, tuple[float, float]]:
    """Run the package on the project's calibration texts; return each value's range."""
    model, ranges = MilModel.load(path), Ranges()
    names = [spec.name for spec in model.inputs]
    for inputs in calibration.from_samples(checkpoint).inputs(length):
        model.run({name: inputs[name] for name in names}, report=ranges)
    return ranges.seen


def round_activations(model: Any, ranges: Mapping[str, tuple[float, float]]) -> Any:
    """Let coremltools quantize what enters a linear layer, with ranges that are known already."""
    import coremltools.optimize.coreml as optimize
    from coremltools.optimize.coreml import _post_training_quantization as library

    stats = {name: {"rmin": low, "rmax": high} for name, (low, high) in ranges.items()}
    symmetric = optimize.OpLinearQuantizerConfig(mode="linear_symmetric")
    config = optimize.OptimizationConfig(op_type_configs={"linear": symmetric})
    # The one part of it that needs a Mac.
    with mock.patch.object(library, "_get_activation_calibration_stats", return_value=stats):
        return optimize.linear_quantize_activations(model, config, [{}])


# --- scoring them ---


class Judge:
    """The checkpoint's answers to the sample questions, and what artifacts make of them."""

    def __init__(self, checkpoint: Checkpoint, length: int, count: int) -> None:
        self.checkpoint = checkpoint
        self.length = length
        self.examples = spread(qa.read_squad(samples.qa_path()), count)
        self.model = reference.load_model(checkpoint)
        self.before = self.ask(self.reference)

    def reference(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run the checkpoint."""
        return reference.run_model(self.model, "qa", inputs)

    def ask(
        self, run: Callable[[dict[str, NDArray[np.int32]]], dict[str, NDArray[np.float32]]]
    ) -> qa_scores.AnswerScores:
        """Return the scores of whatever answers."""
        options = qa.QAOptions.for_length(self.length)
        answers = {}
        for example in self.examples:
            pair = (self.checkpoint.tokenizer, example.question, example.context)
            best = answer(run, *pair, options=options, lengths=(self.length,)).answers[0]
            answers[example.id] = best.text, (best.start, best.end)
        return qa_scores.score_answers(answers, self.examples)

    def score(self, path: Path) -> dict[str, Any]:
        """Return the size of a package and how far its answers are from the checkpoint's."""
        model = MilModel.load(path)
        names = [spec.name for spec in model.inputs]
        cosines: list[float] = []

        def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
            ours = model.run({name: inputs[name] for name in names})
            valid = int(inputs["attention_mask"].sum())
            for role, theirs in self.reference(inputs).items():
                cosines.append(_cosine(ours[role][0, :valid], theirs[0, :valid]))
            return ours

        after = self.ask(run)
        flipped = qa_scores.flipped(after.places, self.before.places)
        return {
            "bytes": bundle.hash_artifact(path)[1],
            "cosine": min(cosines),
            "f1": 100.0 * float(after.f1.mean()),
            "f1_drop": figures.as_json(qa_scores.drop(after.f1, self.before.f1)),
            "flips_percent": qa_scores.percent(flipped),
        }


def _cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


if __name__ == "__main__":
    sys.exit(commands.run(main))
