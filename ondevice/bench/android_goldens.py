"""An artifact on the phone held against its goldens, by the program that will time it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ondevice.bench.android_programs import Inputs, Outputs, Prepared, Program
from ondevice.bench.golden_inputs import ordered_inputs as ordered_inputs
from ondevice.bench.golden_inputs import read_records as read_records
from ondevice.bench.parts import GoldenCheck, plain
from ondevice.golden_records import RunRecord
from ondevice.verify import parity
from ondevice.verify.run_goldens import case_of, limit_of

if TYPE_CHECKING:
    from ondevice.manifest import Manifest

Records = Mapping[int, Sequence[RunRecord]]


class _PhoneRunner:
    """What parity asks of a loaded artifact, answered on the phone, case by case in order."""

    version = ""

    def __init__(self, program: Program, prepared: Sequence[Prepared]) -> None:
        self.runtime = program.title
        self._program = program
        self._prepared: Iterator[Prepared] = iter(prepared)

    def run(self, inputs: Inputs) -> Outputs:
        prepared = next(self._prepared)
        assert all(np.array_equal(inputs[name], one) for name, one in prepared.inputs.items())
        return self._program.answer(prepared)


def check(
    program: Program,
    manifest: Manifest,
    records: Records,
    prepared: Mapping[int, Sequence[Prepared]],
) -> GoldenCheck:
    """Run every golden, each in a process of its own.

    Raises:
        ProgramError: the program does not run, or cannot say what the artifact answers.
    """
    checked, worst = 0, 0.0
    names = [tensor.name for tensor in manifest.artifact.inputs]
    for length, rows in records.items():
        runner = _PhoneRunner(program, prepared[length])
        cases = [case_of(record) for record in rows]
        (found,) = parity.check(runner, cases, names, manifest.task, limit_of(rows[0]))
        checked += len(cases)
        worst = max(worst, found.max_abs or 0.0)
        if found.status != "passed":
            return GoldenCheck(
                status="failed",
                checked=checked,
                max_abs=found.max_abs,
                reason=plain(f"at length {length}: {found.reason}"),
            )
    return GoldenCheck(status="passed", checked=checked, max_abs=worst)
