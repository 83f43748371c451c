"""How a target stores one part of an encoder: how many bits, and what shares a scale.

Each target says it of its own schemes (``Target.storage``), in the words below, so that rounding
can be tried in torch (:mod:`ondevice.rounding`) and sizes be known before anything is converted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ondevice.architectures import Encoder

# How a number becomes one of 2**bits:
#   none     it stays a float
#   absmax   whole steps either side of zero, the largest magnitude is the last step
#   signed   the same, but the largest magnitude is step -2**(bits-1), whichever its sign
#   split    whole steps, the least number at step -2**(bits-1) or the greatest at 2**(bits-1) - 1,
#            whichever needs the larger steps
#   affine   whole steps between the smallest and the largest number, zero among them
#   table    the nearest of 2**bits values in half precision, found by k-means
Rounding = Literal["none", "absmax", "signed", "split", "affine", "table"]


@dataclass(frozen=True)
class Storage:
    """How a matrix [rows, columns] is stored; rows are output channels, or words.

    Attributes:
        bits: of a weight.
        rounding: how weights are rounded.
        block: the columns of a row that share a scale; 0 for the whole row, -1 for the whole
            matrix.
        scale_bits: of a scale, with the zero point or table that comes with it.
        rows: that share a table, at most; a matrix has groups of the largest size up to this that
            divides its rows.
        least: a matrix of no more weights stays as it is (and its few bytes are not told apart).
    """

    bits: int
    rounding: Rounding = "absmax"
    block: int = 0
    scale_bits: int = 32
    rows: int = 1
    least: int = 0

    def rounds(self, rows: int, columns: int) -> bool:
        """Whether a matrix does not stay the floats that it is."""
        return self.rounding != "none" and rows * columns > self.least

    def group(self, rows: int) -> int:
        """Return how many rows of a matrix share their scales or table."""
        if self.block < 0:
            return rows
        return next(size for size in range(self.rows, 0, -1) if rows % size == 0)

    def scales(self, rows: int, columns: int) -> int:
        """Return how many scales a matrix has."""
        if self.rounding == "none":
            return 0
        along = math.ceil(columns / self.block) if self.block > 0 else 1
        return rows // self.group(rows) * along

    def size(self, rows: int, columns: int) -> int:
        """Return the bytes of a matrix with its scales."""
        bits = rows * columns * self.bits + self.scales(rows, columns) * self.scale_bits
        return math.ceil(bits / 8)


def fitting_block(encoder: Encoder, sizes: Sequence[int], default: int) -> int:
    """Return the first of some block sizes that divides every row of an encoder's matrices."""
    common = math.gcd(encoder.width, encoder.embedding_width, encoder.intermediate)
    return next((size for size in sizes if common % size == 0), default)


FLOAT16 = Storage(16, "none")
FLOAT32 = Storage(32, "none")
