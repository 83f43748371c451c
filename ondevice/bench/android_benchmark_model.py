"""LiteRT's ``benchmark_model`` on a phone.

It times many runs and prints statistics of them, not samples: its figures are kept as `reported`.
A flag that a build does not know is named in a warning and ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

from ondevice.bench.android_output import BenchmarkModelOutput, parse_benchmark_model
from ondevice.bench.android_programs import (
    OUTPUT,
    WARMUP_RUNS,
    Job,
    NoAnswerError,
    Outputs,
    Prepared,
    ProgramError,
    TooOldError,
    execute,
    read_outputs,
    why_failed,
)
from ondevice.bench.android_times import (
    Ran,
    benchmark_model_times,
    memory_of,
    placements_of,
)
from ondevice.bench.parts import Measurement, MemoryInfo, Placement

WARMUP_SECONDS = 0.5
# Without these an answer is not known.
ASKING = {"output_filepath", "input_layer_value_files"}
# XNNPACK is the CPU's own; beside another it would take, unsaid, what the other leaves.
DELEGATE_FLAGS = {
    "xnnpack": ("--use_xnnpack=true",),
    "gpu": ("--use_gpu=true", "--use_xnnpack=false"),
    "nnapi": ("--use_nnapi=true", "--use_xnnpack=false"),
}
STATISTICS = "benchmark_model prints statistics, not samples: its figures are shown as its own"


class BenchmarkModel:
    """One artifact in processes of benchmark_model.

    Attributes:
        ran: its processes, in order.
    """

    title = "benchmark_model"

    def __init__(self, job: Job) -> None:
        self._job = job
        self.ran: list[Ran[BenchmarkModelOutput]] = []
        self._watched = 0

    def answer(self, prepared: Prepared) -> Outputs:
        """Run the artifact once; see :class:`ondevice.bench.android_programs.Program`."""
        flags = ["--warmup_runs=1", "--warmup_min_secs=0", "--num_runs=1", "--min_secs=0"]
        flags.append(f"--output_filepath={OUTPUT}")
        if not self.ran:
            # Watching memory takes a thread of its own: never in a process that is timed.
            flags.append("--report_peak_memory_footprint=true")
            self._watched = 1
        said = self._run(prepared, flags, timed=False)
        unknown = said.unknown_flags & ASKING
        if unknown:
            raise NoAnswerError(
                f"this build of benchmark_model has no --{min(unknown)}, so it cannot say what the"
                " artifact answers; take a newer one"
            )
        if said.misnamed:
            raise NoAnswerError(
                "the graph takes its inputs in another order than its manifest lists them"
            )
        # One output after the other in the order of the graph, which is the manifest's.
        return read_outputs(self._job, [OUTPUT], prepared.length)

    def time(self, length: int, iterations: int) -> str:
        """Time the artifact; see :class:`ondevice.bench.android_programs.Program`."""
        # Within the time that the answer is waited for, loading and all.
        most = self._job.place.adb.seconds * 0.8
        flags = [f"--warmup_runs={WARMUP_RUNS}", f"--warmup_min_secs={WARMUP_SECONDS:g}"]
        flags += [f"--num_runs={iterations}", "--min_secs=0", f"--max_secs={most:g}"]
        said = self._run(self._job.prepared[length][-1], flags, timed=True)
        count = said.runs.count if said.runs else 0
        if 0 < count < iterations:
            raise ProgramError(f"benchmark_model made {count} of {iterations} runs")
        return STATISTICS

    def measurements(self) -> list[Measurement]:
        """Return what was timed so far."""
        return benchmark_model_times(self.ran, self._watched)

    def memory(self) -> MemoryInfo | None:
        """Return the peak of the first process that answered."""
        return memory_of(self.ran[0].said) if self.ran and self._watched else None

    def placements(self) -> tuple[tuple[Placement, ...], bool | None]:
        """Return what delegates took, and whether nodes fell back from them to the CPU."""
        if not self.ran:
            return (), None
        return placements_of(self.ran[-1].said), self.ran[-1].said.fallback

    def _run(
        self, prepared: Prepared, flags: Sequence[str], *, timed: bool
    ) -> BenchmarkModelOutput:
        job, length, inputs = self._job, prepared.length, prepared.inputs
        # For builds that take no files. Without a range, ids would be negative too.
        ranges = [f"{name},{values.min()},{values.max()}" for name, values in inputs.items()]
        files = [f"{name}:{file}" for name, file in prepared.files.items()]
        output = execute(
            job,
            [
                f"--graph={job.model}",
                f"--signature_to_run_for=length_{length}",
                f"--num_threads={job.threads}",
                *DELEGATE_FLAGS[job.delegate],
                f"--input_layer={','.join(inputs)}",
                f"--input_layer_shape={':'.join(f'1,{length}' for _ in inputs)}",
                f"--input_layer_value_range={':'.join(ranges)}",
                f"--input_layer_value_files={','.join(files)}",
                *flags,
            ],
        )
        said = parse_benchmark_model(output.text, job.delegate)
        longest = max(job.artifact.lengths)
        if "signature_to_run_for" in said.unknown_flags and length != longest:
            # It ran the first signature, which is the longest, and would report that.
            raise TooOldError(
                f"this build of benchmark_model has no --signature_to_run_for: it runs length"
                f" {longest} only; take a newer one"
            )
        if output.code != 0 or said.runs is None or not said.runs.mean:
            raise ProgramError(f"benchmark_model failed: {why_failed(said.error, output)}")
        self.ran.append(Ran(length, timed, said))
        return said
