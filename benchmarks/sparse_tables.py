"""What zeros beside a table of values would save: bits a weight, and how far weights move.

    python benchmarks/sparse_tables.py [--model student] [--sample 8000]

Core ML stores a matrix of which the smallest weights are zero as a mask (1 bit a weight) and the
places of the others in a table of 2**B values (B bits each). For each share of zeros and each B
this prints the bits that a weight then takes, and the error: the distance from the weights as they
were, over their norm. Of each matrix a sample is taken, the table found by k-means. Prints a table;
takes seconds, converts nothing. Whole artifacts of this kind were not scored.
"""

from __future__ import annotations

import argparse
import sys

import commands
import numpy as np
from numpy.typing import NDArray

from ondevice import console, models

SHARES = (0, 10, 20, 30, 40, 50)
BITS = (6, 4)
ROUNDS = 25
HEADERS = ("zeros", "table", "bits a weight", "error, median", "error, worst matrix")

Values = NDArray[np.float32]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument("--sample", type=int, default=8000, help="weights of each matrix")
    arguments = parser.parse_args()
    matrices = read_matrices(arguments.model, arguments.sample)
    rows = []
    for bits in BITS:
        for share in SHARES:
            errors = [error(values, share, bits) for values in matrices]
            cells = (f"{share} %", f"{2**bits} values", f"{bits_per_weight(share, bits):.1f}")
            rows.append((*cells, f"{np.median(errors):.3f}", f"{max(errors):.3f}"))
    sys.stdout.write(console.table(HEADERS, rows) + "\n")
    return 0


def read_matrices(model: str, sample: int) -> list[Values]:
    """Return values of each matrix of a checkpoint that a scheme would compress."""
    from safetensors.numpy import load_file

    rng = np.random.default_rng(0)
    found = []
    for path in models.load(model).weight_files:
        for weight in load_file(path).values():
            if weight.ndim == 2 and min(weight.shape) > 2:
                values = weight.astype(np.float32).ravel()
                found.append(values[rng.integers(0, len(values), min(sample, len(values)))])
    return found


def bits_per_weight(share: int, bits: int) -> float:
    """Return the bits of a mask and of the weights that it leaves; without zeros no mask."""
    return bits * (1 - share / 100) + (share > 0)


def error(values: Values, share: int, bits: int) -> float:
    """Return how far the values move, over their norm."""
    sizes, stored = np.abs(values), np.zeros_like(values)
    kept = sizes > np.quantile(sizes, share / 100) if share else np.ones(len(values), bool)
    stored[kept] = tabled(values[kept], 2**bits)
    return float(np.linalg.norm(stored - values) / np.linalg.norm(values))


def tabled(values: Values, size: int) -> Values:
    """Return each value as the nearest of a table of `size`, found by Lloyd's k-means."""
    centres = np.quantile(values, (np.arange(size) + 0.5) / size)
    for _ in range(ROUNDS):
        places = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
        counts = np.bincount(places, minlength=size)
        means = np.bincount(places, values, size) / np.maximum(counts, 1)
        centres = np.where(counts > 0, means, centres)
    nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    return np.asarray(centres[nearest], np.float32)


if __name__ == "__main__":
    sys.exit(commands.run(main))
