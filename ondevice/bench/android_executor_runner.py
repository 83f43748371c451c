"""ExecuTorch's ``executor_runner`` on a phone.

Newer builds print the time of each run, older ones only a total; on Android both print to the
phone's log. A flag that a build does not know ends it.
"""

from __future__ import annotations

from ondevice.bench.android_files import PID_FILE
from ondevice.bench.android_output import ExecutorRunnerOutput, parse_executor_runner
from ondevice.bench.android_programs import (
    OUTPUT,
    WARMUP_RUNS,
    Job,
    Outputs,
    Prepared,
    ProgramError,
    TooOldError,
    execute,
    read_outputs,
    read_peak,
    why_failed,
)
from ondevice.bench.android_times import Ran, executor_runner_times
from ondevice.bench.parts import Measurement, MemoryInfo, Placement, plain

LOG_TAG = "ExecuTorch"


class ExecutorRunner:
    """One artifact in processes of executor_runner.

    Attributes:
        ran: its processes, in order.
    """

    title = "executor_runner"

    def __init__(self, job: Job) -> None:
        self._job = job
        self.ran: list[Ran[ExecutorRunnerOutput]] = []
        self._memory: MemoryInfo | None = None

    def answer(self, prepared: Prepared) -> Outputs:
        """Run the artifact once; see :class:`ondevice.bench.android_programs.Program`."""
        self._run(prepared, 1, timed=False)
        # The program's outputs are in the manifest's order.
        names = [f"{OUTPUT}-{index}.bin" for index in range(len(self._job.artifact.outputs))]
        return read_outputs(self._job, names, prepared.length)

    def time(self, length: int, iterations: int) -> str:
        """Time the artifact; see :class:`ondevice.bench.android_programs.Program`."""
        executions = WARMUP_RUNS + iterations
        said = self._run(self._job.prepared[length][-1], executions, timed=True)
        if said.iterations:
            return ""
        if said.total is None:
            raise ProgramError("this build of executor_runner prints no times; take a newer one")
        return (
            f"executor_runner printed a total only: the mean is of all {executions} runs,"
            " the first ones included"
        )

    def measurements(self) -> list[Measurement]:
        """Return what was timed so far."""
        return executor_runner_times(self.ran, WARMUP_RUNS)

    def memory(self) -> MemoryInfo | None:
        """Return the peak of the first process that answered, as the kernel counts it."""
        return self._memory

    def placements(self) -> tuple[tuple[Placement, ...], bool | None]:
        """Return nothing: delegates are fixed when a program is lowered, and not printed."""
        return (), None

    def _run(self, prepared: Prepared, executions: int, *, timed: bool) -> ExecutorRunnerOutput:
        job = self._job
        arguments = [
            f"--model_path={job.model}",
            f"--inputs={','.join(prepared.files.values())}",
            f"--output_file={OUTPUT}",
            f"--num_executions={executions}",
            f"--cpu_threads={job.threads}",
        ]
        # A single length is the program's first method, which every build runs.
        several = len(job.artifact.lengths) > 1
        method = f"forward_{prepared.length}" if several else "forward"
        if several:
            arguments.append(f"--method_name={method}")
        watched = not self.ran and not timed
        output = execute(job, arguments, watched=watched)
        said = parse_executor_runner(output.text)
        if "unknown command line flag" in output.text:
            raise TooOldError(f"this build of executor_runner is too old: {said.error}")
        if said.executed == 0:
            said = parse_executor_runner(f"{self._log()}\n{output.text}")
        if output.code == 0 and not said.executed and not said.error:
            raise TooOldError(
                "executor_runner said nothing of its runs; take a build that logs"
                " (EXECUTORCH_ENABLE_LOGGING=ON)"
            )
        if output.code != 0 or said.executed != executions:
            raise ProgramError(f"executor_runner failed: {why_failed(said.error, output)}")
        if said.method and said.method != method:
            raise ProgramError(
                f"executor_runner ran the method '{plain(said.method, 60)}', not '{method}'"
            )
        if watched:
            self._memory = read_peak(job)
        self.ran.append(Ran(prepared.length, timed, said))
        return said

    def _log(self) -> str:
        """Return what the last process wrote to the phone's log."""
        place = self._job.place
        pid = place.adb.shell(["cat", str(place.directory / PID_FILE)]).stdout.strip()
        if not pid.isdigit():
            return ""
        asked = ["logcat", "-d", "-s", f"{LOG_TAG}:V", f"--pid={pid}"]
        return place.adb.shell(asked, seconds=place.adb.seconds).stdout
