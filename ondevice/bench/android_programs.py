"""What the programs that time an artifact on a phone have in common.

LiteRT's ``benchmark_model`` and ExecuTorch's ``executor_runner`` are files that the user supplies,
built for Android. Both take inputs from files and write their outputs to a file, so that the
artifact is first held against its goldens, by the very program that then times it.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ondevice.bench import DELEGATES
from ondevice.bench.adb import DeviceError, DeviceLostError, DeviceTimeoutError, Output
from ondevice.bench.android_files import PID_FILE, Workplace
from ondevice.bench.parts import Measurement, MemoryInfo, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.manifest import ArtifactInfo

WARMUP_RUNS = 10
# Beginning of the names of the files that a program writes.
OUTPUT = "output"
# The file that takes the peak of a process, in kB.
PEAK = "peak"
# Look until the process has no memory any more: one that ended is there until it is waited for.
# While its name is "sh", the shell has not become the program yet. All are words of the shell
# itself but `sleep`, which on old versions of Android takes whole seconds only.
_WATCH = (
    "p=$!; while v=; do while read -r k x u; do case $k in Name:) n=$x;; VmHWM:) v=$x;; esac;"
    ' done < /proc/$p/status; [ -n "$v" ] || break;'
    f' [ "$n" = sh ] || echo "$v" > {PEAK}; sleep 0.02 || sleep 1; done 2>/dev/null; wait $p;'
)

Inputs = Mapping[str, "NDArray[np.int32]"]
Outputs = dict[str, "NDArray[np.float32]"]


class ProgramError(DeviceError):
    """The program ran and did not do its work; other artifacts may fare better."""


class TooOldError(ProgramError):
    """This build of the program cannot run an artifact of this kind at all."""


class NoAnswerError(ProgramError):
    """This build of the program cannot say what an artifact answers."""


@dataclass(frozen=True)
class Prepared:
    """Model inputs that lie on the phone.

    Attributes:
        inputs: int32 [1, L] by name, in the artifact's order.
        files: the name of each one's file in the directory of this run.
    """

    inputs: Inputs
    files: Mapping[str, str]

    @property
    def length(self) -> int:
        """L."""
        return int(next(iter(self.inputs.values())).shape[1])


@dataclass(frozen=True)
class Job:
    """An artifact that lies on the phone.

    Attributes:
        place: the directory of this run.
        program: the program's file there.
        artifact: what the manifest says of it.
        model: the artifact's file there.
        threads: CPU threads.
        delegate: what benchmark_model runs it with.
        prepared: model inputs of each length that is timed; from the goldens.
    """

    place: Workplace
    program: str
    artifact: ArtifactInfo
    model: str
    threads: int
    prepared: Mapping[int, Sequence[Prepared]]
    delegate: str = DELEGATES[0]


class Program(Protocol):
    """A program on the phone with one artifact; `title` is the program's name."""

    title: str

    def answer(self, prepared: Prepared) -> Outputs:
        """Run the artifact in a process of its own; return float32 arrays by role.

        Raises:
            NoAnswerError: this build cannot be asked.
            ProgramError: it did not answer.
        """

    def time(self, length: int, iterations: int) -> str:
        """Time the artifact in a process of its own; return what to know of the figures, or "".

        Raises:
            ProgramError: it did not run.
        """

    def measurements(self) -> list[Measurement]:
        """Return what was timed so far."""

    def memory(self) -> MemoryInfo | None:
        """Return its peak memory, if the program tells."""

    def placements(self) -> tuple[tuple[Placement, ...], bool | None]:
        """Return what delegates took, and whether some of the graph fell back to the CPU."""


def push_inputs(place: Workplace, stem: str, cases: Sequence[Inputs]) -> list[Prepared]:
    """Copy model inputs to the phone, as raw little-endian int32."""
    prepared = []
    with tempfile.TemporaryDirectory(prefix="ondevice-bench-") as name:
        files = []
        for number, inputs in enumerate(cases):
            names = {tensor: f"{stem}-{number}-{tensor}.bin" for tensor in inputs}
            for tensor, values in inputs.items():
                files.append(Path(name) / names[tensor])
                files[-1].write_bytes(np.ascontiguousarray(values, "<i4").tobytes())
            prepared.append(Prepared(inputs, names))
        place.push_all(files)
    return prepared


def execute(job: Job, arguments: Sequence[str], *, watched: bool = False) -> Output:
    """Run the program in its directory, leaving its process id there; outputs of before go.

    Args:
        job: what to run.
        arguments: the program's.
        watched: look at its memory while it runs (:func:`read_peak`); never where it is timed.
    """
    # The shell becomes the program: the id that it writes is the program's.
    inner = f'echo $$ > {PID_FILE}; exec "$0" "$@"'
    place = f"cd {shlex.quote(str(job.place.directory))} && rm -f {OUTPUT}* {PEAK} &&"
    run = f"sh -c '{inner}' {shlex.join([job.program, *arguments])}"
    script = f"{place} {{ {run} & {_WATCH} }}" if watched else f"{place} {run}"
    return job.place.adb.shell(script, seconds=job.place.adb.seconds)


def read_peak(job: Job) -> MemoryInfo | None:
    """Return the peak of the process that was watched; None if it was not seen.

    The kernel keeps the peak, so that looking often misses only what came after the last look.
    """
    text = job.place.adb.shell(["cat", str(job.place.directory / PEAK)]).stdout.strip()
    if not re.fullmatch(r"[0-9]{1,12}", text) or not 0 < int(text) * 1024 <= 2**50:
        return None
    return MemoryInfo(peak_bytes=int(text) * 1024, method="VmHWM, polled")


def read_outputs(job: Job, names: Sequence[str], length: int) -> Outputs:
    """Fetch what the program wrote: raw values of all outputs in the manifest's order.

    Raises:
        NoAnswerError: it wrote nothing.
        ProgramError: it wrote something else.
    """
    with tempfile.TemporaryDirectory(prefix="ondevice-bench-") as directory:
        try:
            job.place.adb.pull([str(job.place.directory / name) for name in names], Path(directory))
        except (DeviceLostError, DeviceTimeoutError):
            raise
        except DeviceError as error:
            if not re.search("no such file|does not exist", str(error), re.IGNORECASE):
                raise
            raise NoAnswerError(
                f"the program wrote no '{names[0]}', so what it answered is not known"
            ) from error
        content = b"".join((Path(directory) / name).read_bytes() for name in names)
    if len(content) % 4:
        raise ProgramError(f"the program wrote {len(content)} bytes, not float32 values")
    return split(np.frombuffer(content, "<f4").astype(np.float32), job.artifact, length)


def split(values: NDArray[np.float32], artifact: ArtifactInfo, length: int) -> Outputs:
    """Cut values into outputs by the shapes of the manifest.

    Raises:
        ProgramError: there are more or fewer.
    """
    shapes = {
        tensor.role: tuple(length if size == "L" else size for size in tensor.shape)
        for tensor in artifact.outputs
    }
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    if values.size != sum(sizes):
        raise ProgramError(
            f"the program wrote {values.size} values, the artifact's outputs have {sum(sizes)}"
        )
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return {
        role: part.reshape(shape) for (role, shape), part in zip(shapes.items(), parts, strict=True)
    }


def why_failed(error: str, output: Output) -> str:
    """Return why a program failed: its own words, else its last line and exit code."""
    if error:
        return error
    lines = [line.strip() for line in output.text.splitlines() if line.strip()]
    said = "".join(char if char.isprintable() else "?" for char in lines[-1])[:200] if lines else ""
    return f"exit code {output.code}" + (f", its last line: {said}" if said else ", no output")
