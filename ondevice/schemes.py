"""The words for quantization, and how far an artifact may stray from its checkpoint under each.

A scheme is a promise about how numbers are stored and computed. What a target does to keep it
differs (see ``ondevice/targets/*.py``); which target offers which scheme is listed there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ondevice.errors import UserError, choices


@dataclass(frozen=True)
class ParityLimit:
    """The worst difference from the checkpoint's float32 outputs that is still published.

    ``max_abs`` bounds the largest absolute difference of any output value, ``min_cosine`` the
    cosine similarity between the two flattened outputs. ``None`` means not limited.
    """

    max_abs: float | None = None
    min_cosine: float | None = None

    def __post_init__(self) -> None:
        if self.max_abs is None and self.min_cosine is None:
            raise ValueError("a parity limit that limits nothing would pass anything")

    @property
    def max_norm_difference(self) -> float | None:
        """The largest relative difference of norms, where only the cosine is limited.

        A cosine is blind to a common factor. This allows an error along the checkpoint's output
        as large as the cosine allows across it: sin(arccos(min_cosine)), 14 % at 0.99.
        """
        if self.min_cosine is None or self.max_abs is not None:
            return None
        return math.sqrt(1.0 - max(self.min_cosine, 0.0) ** 2)


@dataclass(frozen=True)
class Scheme:
    """One way to store weights and to compute with them.

    Attributes:
        bits: of a stored weight.
        calibrated: whether ranges of activations must be seen on texts first.
        compensated: whether weights are rounded so that they make up for each other's errors, as
            texts show them (:mod:`ondevice.compensation`).
    """

    name: str
    summary: str
    bits: int
    limit: ParityLimit
    calibrated: bool = False
    compensated: bool = False

    @property
    def takes_texts(self) -> bool:
        """Whether it looks at texts."""
        return self.calibrated or self.compensated


SCHEMES: dict[str, Scheme] = {
    "fp32": Scheme("fp32", "32-bit floats throughout", 32, ParityLimit(max_abs=1e-4)),
    "fp16": Scheme("fp16", "16-bit float weights", 16, ParityLimit(max_abs=2e-2)),
    "int8": Scheme("int8", "8-bit weights, per channel", 8, ParityLimit(min_cosine=0.99)),
    "int8-weight": Scheme(
        "int8-weight",
        "8-bit weights, per channel; computed in floats",
        8,
        ParityLimit(min_cosine=0.99),
    ),
    "int8-static": Scheme(
        "int8-static",
        "8-bit weights and activations, ranges calibrated on texts",
        8,
        ParityLimit(min_cosine=0.98),
        calibrated=True,
    ),
    "int4": Scheme(
        "int4",
        "4-bit weights, a scale for each block",
        4,
        ParityLimit(min_cosine=0.95),
        compensated=True,
    ),
    "pal6": Scheme("pal6", "weights from tables of 64 values", 6, ParityLimit(min_cosine=0.98)),
    "pal4": Scheme(
        "pal4",
        "weights from tables of 16 values, one for each group of rows",
        4,
        ParityLimit(min_cosine=0.95),
        compensated=True,
    ),
}


# Schemes from here on need no help in rounding: a step is 1/255 of the range.
FINE_BITS = 8


def get_scheme(name: str) -> Scheme:
    """Return the scheme of that name.

    Raises:
        UserError: there is none.
    """
    if name not in SCHEMES:
        raise UserError(choices("scheme", name, SCHEMES))
    return SCHEMES[name]


def check_offered(scheme: str, target: str, offered: Iterable[str]) -> None:
    """Refuse a scheme that the target does not have.

    Raises:
        UserError: the scheme is unknown, or known but not offered by the target.
    """
    get_scheme(scheme)
    offered = tuple(offered)
    if scheme not in offered:
        raise UserError(
            f"target '{target}' has no scheme '{scheme}'; its schemes: {', '.join(offered)}"
        )
