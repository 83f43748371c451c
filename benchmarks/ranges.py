"""How large activations become in a model, operation by operation, on real texts.

    python benchmarks/ranges.py [--model student] [--length 384] [--texts 32] [--data FILE]

The graph that the converters get runs in float32 over the project's samples, or over FILE, padded
as on a device. Prints for each operation the least and the greatest value, what 99.9 % of the
absolute values stay below, and how often that fits into the greatest: how many of eight bits'
levels are spent on one value in a thousand. Half precision ends at 65,504. Nothing is timed.
Writes ``benchmarks/results/ranges.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path

import commands
import machine

from ondevice import calibration, console, graph, models, ranges
from ondevice.calibration import spread
from ondevice.errors import UserError

RESULTS = Path(__file__).parent / "results" / "ranges.json"
HALF_MAX = 65504.0


def main() -> int:
    """Run the texts, print the table, write the results; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument("--length", type=commands.whole("--length", 16), default=384)
    parser.add_argument("--texts", type=int, default=32, help="at most so many (default: 32)")
    parser.add_argument("--data", type=Path, help="SQuAD JSON for qa, else a text a line")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.texts < 1:
        raise UserError(f"--texts must be at least 1, not {arguments.texts}")
    checkpoint = models.load(arguments.model)
    texts = (
        calibration.from_samples(checkpoint)
        if arguments.data is None
        else calibration.from_file(checkpoint, arguments.data)
    )
    batches = spread(list(texts.inputs(arguments.length)), arguments.texts)
    found = ranges.observe(graph.from_checkpoint(checkpoint, max_length=arguments.length), batches)
    document = {
        "machine": machine.describe(),
        "model": checkpoint.name,
        "model_sha256": checkpoint.sha256,
        "length": arguments.length,
        "texts": {"source": texts.source, "count": len(batches)},
        "ranges": [dataclasses.asdict(one) for one in found],
    }
    commands.write(arguments.results, document)
    headers = ("part", "operation", "least", "greatest", "99.9 % within", "greatest / that")
    print(console.table(headers, [cells(one) for one in found]))
    for sentence in conclusions(found):
        print(sentence)
    return 0


def conclusions(found: list[ranges.Range]) -> list[str]:
    """Say how near half precision's end is, for the values and for a layer norm's squares."""
    largest = max(one.largest for one in found)
    # What a layer norm takes is computed right before it.
    before = itertools.pairwise(found)
    taken = max(one.largest for one, norm in before if norm.operation.startswith("layer_norm"))
    return [
        f"the largest value, {largest:.1f}, is {100 * largest / HALF_MAX:.0f} % of what half"
        " precision holds",
        f"the largest that a layer norm takes, {taken:.1f}, is {100 * taken**2 / HALF_MAX:.0f} % of"
        " that once squared, which a kernel must do in float32 or after scaling",
    ]


def cells(one: ranges.Range) -> tuple[str, ...]:
    """Return a table row."""
    figures = (one.low, one.high, one.usual, one.excess)
    return (one.place, one.operation, *(f"{figure:.2f}" for figure in figures))


if __name__ == "__main__":
    sys.exit(commands.run(main))
