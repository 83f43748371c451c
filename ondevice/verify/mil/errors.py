"""What can go wrong between a `.mlpackage` on disk and its outputs.

`UnknownOpError` is the one a check must turn into `not_run`: the interpreter does not know what
the program asks for, which says nothing about the program. Every other error is a finding.
"""

from __future__ import annotations

from ondevice.errors import UserError


class MilError(UserError):
    """Base of the interpreter's errors."""


class MilPackageError(MilError):
    """The package is not a readable ML Program: missing, altered, truncated or unsafe."""


class MilInputError(MilError):
    """An input's name, dtype or shape is not what the model declares."""


class MilOpError(MilError):
    """An op cannot be executed as the program states it.

    For example a gather outside its table, or a result whose shape is not the declared one.
    """

    def __init__(self, op_type: str, name: str, reason: str) -> None:
        self.op_type = op_type
        self.name = name
        self.reason = reason
        super().__init__(f"op '{name}' ({op_type}): {reason}")


class UnknownOpError(MilError):
    """The interpreter does not implement this op, or this form of it."""

    def __init__(self, op_type: str, name: str, reason: str = "not implemented") -> None:
        self.op_type = op_type
        self.name = name
        self.reason = reason
        super().__init__(
            f"the reference interpreter does not know op '{op_type}' as '{name}' uses it: {reason}"
        )


class UnsupportedFormError(Exception):
    """Raised inside an op's implementation; the interpreter adds the op's type and name."""
