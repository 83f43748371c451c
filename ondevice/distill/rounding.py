"""How training rounds weights, for which schemes: plain values, nothing heavy.

Targets differ in details of a scheme (where a block's step comes from, the size of the embedding
rows' blocks, from 32 on Core ML to 128 on ExecuTorch). Training takes what most of them have; what
it leaves are weights that lose little to any rounding of that coarseness.
"""

from __future__ import annotations

from dataclasses import dataclass

from ondevice.errors import UserError


@dataclass(frozen=True)
class Rounding:
    """What a scheme does to weights; steps are symmetric about zero.

    Attributes:
        bits: of a weight.
        matrix_block: columns of a matrix's row that share a step; 0 for the whole row.
        table_block: likewise, of the word embeddings' rows.
    """

    bits: int
    matrix_block: int = 0
    table_block: int = 0


# pal4 and pal6 are not here because torchao's fake quantization has steps, not tables of values,
# and int8-static is not because it has no fixed range for a whole activation.
ROUNDINGS: dict[str, Rounding] = {
    "int4": Rounding(4, matrix_block=32, table_block=64),
    "int8": Rounding(8),
}


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
