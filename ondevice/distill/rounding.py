"""How training rounds weights, for which schemes: plain values, nothing heavy.

Targets differ in details of a scheme (where a block's step comes from, whether rows of embeddings
are cut into blocks). Training takes what most of them have; what it leaves are weights that lose
little to any rounding of that coarseness.
"""

from __future__ import annotations

from dataclasses import dataclass

from ondevice.errors import UserError


@dataclass(frozen=True)
class Rounding:
    """What a scheme does to weights; steps are symmetric about zero.

    Rows of word embeddings have a step each.

    Attributes:
        bits: of a weight.
        matrix_blocks: so many columns of a matrix's row share a step, the first of these that
            divides the row; the whole row where none does.
    """

    bits: int
    matrix_blocks: tuple[int, ...] = ()


# pal4 and pal6 are not here because torchao's fake quantization has steps, not tables of values,
# and int8-static is not because it has no fixed range for a whole activation.
ROUNDINGS: dict[str, Rounding] = {"int4": Rounding(4, (128, 64, 32)), "int8": Rounding(8)}


def check_trainable(scheme: str) -> None:
    """Refuse a scheme that training cannot round to.

    Raises:
        UserError: it is unknown, or not among :data:`ROUNDINGS`.
    """
    if scheme not in ROUNDINGS:
        raise UserError(
            f"training cannot round weights as scheme '{scheme}' does; --quantize takes:"
            f" {', '.join(ROUNDINGS)}"
        )
