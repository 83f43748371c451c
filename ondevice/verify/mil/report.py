"""Where NaN and inf arise in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ondevice.verify.mil.program import Operation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NonFinite:
    """An op's output that holds NaN or inf although none of the op's operands does.

    `nan` and `inf` count elements.
    """

    op_type: str
    name: str
    nan: int
    inf: int


@dataclass
class FiniteReport:
    """The ops that make NaN or inf, in program order; filled by `MilModel.run`.

    An additive mask of -inf, or fp32's lowest number in a half-precision program, is listed like
    any other inf: whether it is meant is the caller's judgement. A NaN never is.
    """

    nonfinite: list[NonFinite] = field(default_factory=list)

    @property
    def first_nonfinite(self) -> NonFinite | None:
        """The first op whose output is not finite."""
        return self.nonfinite[0] if self.nonfinite else None

    @property
    def first_nan(self) -> NonFinite | None:
        """The first op that makes a NaN."""
        return next((found for found in self.nonfinite if found.nan), None)

    def record(self, op: Operation, operands: list[Any], results: list[Tensor]) -> None:
        """Note NaN that no operand holds, and inf where all operands are finite."""
        found = nonfinite(op, results)
        if found is None:
            return
        before = nonfinite(op, operands)
        if before is None or (found.nan and not before.nan):
            self.nonfinite.append(found)


def nonfinite(op: Operation, values: list[Any]) -> NonFinite | None:
    """Count NaN and inf in the floating-point tensors of `values`; None if there is neither."""
    floats = [value for value in values if not isinstance(value, str) and value.is_floating_point()]
    if all(bool(value.isfinite().all()) for value in floats):
        return None
    nan = sum(int(value.isnan().sum()) for value in floats)
    return NonFinite(op.type, op.name, nan, sum(int(value.isinf().sum()) for value in floats))
