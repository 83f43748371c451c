"""What zeros beside a table of values would save on Core ML, and what they cost in answers.

    python benchmarks/sparse_tables.py [--model student] [--questions 0]

Core ML stores a matrix of which the smallest weights are zero as a mask (1 bit a weight) and the
places of the others in a table of 2**B values (B bits each). For each share of zeros and each B,
every matrix is written so, without training, and the model answers the sample questions in torch
beside the one with the weights as they were. Prints the bits that a weight takes, the distance of
the weights (over their norm, the median of all matrices), F1, the drop with its 95 % interval and
the share of answers that changed. Converts nothing, times nothing.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import commands
import machine
import numpy as np
import sample_questions
import torch
from sample_questions import Questions
from torch import Tensor, nn

from ondevice import console, graph, models
from ondevice.rounding import find_tables, looked_up
from ondevice.storage import Storage

RESULTS = Path(__file__).parent / "results" / "sparse_tables.json"
SHARES = (0, 10, 20, 30, 40, 50)
BITS = (6, 4)
HEADERS = ("zeros", "table", "bits a weight", "error", *sample_questions.HEADERS)
# Heads of two rows are stored as they are.
LEAST_ROWS = 3


def main() -> int:
    """Measure, print the table, write the results; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument(
        "--questions",
        type=commands.whole("--questions", 0),
        default=0,
        help="0 for all 312 (default)",
    )
    parser.add_argument("--length", type=commands.whole("--length", 16), default=384)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    checkpoint = models.load(arguments.model, "qa")
    questions = Questions(checkpoint, arguments.length, arguments.questions)
    made = graph.from_checkpoint(checkpoint, max_length=arguments.length)
    rows = list(measure(made, questions))
    document = {
        "machine": machine.describe(),
        "model": checkpoint.name,
        "model_sha256": checkpoint.sha256,
        "questions": len(questions.examples),
        "length": arguments.length,
        "rows": rows,
    }
    commands.write(arguments.out, document)
    print(console.table(HEADERS, [cells(row) for row in rows]))
    return 0


def measure(made: graph.MobileGraph, questions: Questions) -> Iterator[dict[str, Any]]:
    """Yield a row for each share of zeros and size of table."""
    for bits in BITS:
        for share in SHARES:
            sys.stderr.write(f"{share} % zeros, {2**bits} values\n")
            written, errors = rewritten(made, share, bits)
            logits: list[np.ndarray] = []
            scores = questions.ask(partial(sample_questions.run_graph, written), logits)
            row = {"zeros_percent": share, "values": 2**bits, "errors": errors}
            yield (
                row
                | {"bits": bits_per_weight(share, bits)}
                | questions.held_against(scores, logits)
            )


def rewritten(
    made: graph.MobileGraph, share: int, bits: int
) -> tuple[graph.MobileGraph, list[float]]:
    """Return a graph with every matrix stored so, and how far each of them moved."""
    module = copy.deepcopy(made.module)
    errors = []
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding) and len(part.weight) >= LEAST_ROWS:
            before = part.weight.data
            part.weight.data = stored(before, share, bits)
            errors.append(float((part.weight.data - before).norm() / before.norm()))
    return replace(made, module=module), errors


def bits_per_weight(share: int, bits: int) -> float:
    """Return the bits of a mask and of the weights that it leaves; without zeros no mask."""
    return bits * (1 - share / 100) + (share > 0)


def stored(weight: Tensor, share: int, bits: int) -> Tensor:
    """Return a matrix with a share of zeros, percent, and the rest from one table."""
    sizes = weight.abs().flatten()
    least = sizes.sort().values[len(sizes) * share // 100]
    # Without zeros the table has all weights.
    left = weight.abs() >= least if share else torch.ones_like(weight, dtype=torch.bool)
    values = weight[left][None]
    result = torch.zeros_like(weight)
    result[left] = looked_up(values, find_tables(values, Storage(bits, "table", -1)))[0]
    return result


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a table row."""
    return (
        f"{row['zeros_percent']} %",
        f"{row['values']} values",
        f"{row['bits']:.1f}",
        f"{np.median(row['errors']):.3f}",
        *sample_questions.cells(row),
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
