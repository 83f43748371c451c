"""Read what programs print on an Android phone: benchmark_model, executor_runner, logcat, am.

Sources of the forms: LiteRT ``tflite/tools/benchmark/benchmark_model.cc`` and
``benchmark_tflite_model.cc``, TensorFlow Lite ``core/subgraph.cc``, ExecuTorch
``examples/portable/executor_runner/executor_runner.cpp``, Android ``AndroidJUnitRunner``. What a
phone prints is untrusted: what does not fit is left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# In benchmark_model's own words; a number may come as 2.95e+06, NaN and infinity are no numbers.
_NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
# What is counted; more digits are no count.
_COUNT = r"([0-9]{1,12})"

# The forms of `adb logcat`: threadtime (its default), time, brief, tag, process, and ExecuTorch's
# and LiteRT's own prefixes where they log to the terminal.
_PREFIXES = (
    re.compile(r"^(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +\d+ +\d+ [VDIWEFA] .*? *: "),
    re.compile(r"^(?:\d\d-\d\d \d\d:\d\d:\d\d\.\d+ )?[VDIWEFA]/.*? *(?:\( *\d+\))?: "),
    re.compile(r"^[VDIWEFA]\( *\d+(?:: *\d+)?\) "),
    re.compile(r"^[VDIWEF] \d\d:\d\d:\d\d\.\d+ executorch:\S+\] "),
    re.compile(r"^(?:INFO|WARN|WARNING|ERROR|VERBOSE|FATAL): "),
)

# First lines of a block of logcat's crash buffer: of Java, of native code, of a buffer.
_CRASH_BEGINS = ("FATAL EXCEPTION", "Process: ", "Fatal signal", "*** ", "--------- beginning of")

_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER},"
    rf" Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}",
    re.IGNORECASE,
)
_STAT = re.compile(rf"^count={_COUNT}\b")
_STAT_FIELD = re.compile(rf"\b(first|curr|min|max|avg|std|p5|median|p95)={_NUMBER}")
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\)[^:]*: {_NUMBER}")
_REPLACING = re.compile(
    r"Replacing (?P<nodes>[0-9]{1,12})(?: out of (?P<total>[0-9]{1,12}))? node\(s\)"
    r" with delegate \((?P<delegate>[^)]+)\)"
)
_UNCONSUMED = re.compile(r"Unconsumed cmdline flags: (.*)")
_MISNAMED = re.compile(r"Tensor # \d+ is named (\S+) but flags call it (\S+)")

_ITERATION = re.compile(rf"Iteration {_COUNT} of {_COUNT}: {_NUMBER} ms")
_EXECUTED = re.compile(rf"Model executed successfully {_COUNT} time\(s\)(?: in {_NUMBER} ms)?")
_LOADED = re.compile(rf"Model loaded in {_NUMBER} ms")
_METHOD = re.compile(r"Using method (\S+)")


def messages(text: str) -> Iterator[str]:
    """Yield each line of logcat's output, in any of its forms, without the log's prefix."""
    for line in text.splitlines():
        matches = (prefix.match(line) for prefix in _PREFIXES)
        end = next((match.end() for match in matches if match), 0)
        yield line[end:].strip()


def _unprefixed(text: str) -> list[str]:
    """Return lines free of prefixes: a log's, and the program's own behind it."""
    return [inner for outer in messages(text) for inner in messages(outer)]


@dataclass(frozen=True)
class Stat:
    """A line of statistics by benchmark_model, microseconds; what it left out is None."""

    count: int
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Replaced:
    """``Replacing N out of M node(s) with delegate (…)``; `total` is 0 in the older form."""

    delegate: str
    nodes: int
    total: int


@dataclass(frozen=True)
class BenchmarkModelOutput:
    """What one process of benchmark_model said. Times in microseconds.

    Attributes:
        init: building the interpreter, delegate included.
        first: the first inference.
        warmup, runs: statistics; None if not printed.
        peak_mib: peak memory in MiB (the tool prints "MB", and divides kilobytes by 1024).
        replaced: what delegates took, in the order of the lines.
        fallback: whether nodes stayed outside the delegate that was asked for, on the CPU; None
            if not said, and for XNNPACK, which is the CPU.
        unknown_flags: names of flags that this build does not know.
        misnamed: (the tensor's name, what it was called), where inputs were given in another
            order than the graph has them.
        error: the last line of an error, if any.
    """

    init: float | None = None
    first: float | None = None
    warmup: Stat | None = None
    runs: Stat | None = None
    peak_mib: float | None = None
    replaced: tuple[Replaced, ...] = ()
    fallback: bool | None = None
    unknown_flags: frozenset[str] = field(default_factory=frozenset)
    misnamed: tuple[tuple[str, str], ...] = ()
    error: str = ""


def parse_benchmark_model(text: str, delegate: str = "xnnpack") -> BenchmarkModelOutput:
    """Read the output of LiteRT's benchmark_model, which was asked to use `delegate`."""
    lines = _unprefixed(text)
    timings = _last(_TIMINGS, lines)
    peak = _last(_PEAK, lines)
    warmup, runs = _stats(lines)
    replaced = tuple(_replaced(lines))
    unknown = [match[1] for line in lines if (match := _UNCONSUMED.search(line))]
    return BenchmarkModelOutput(
        init=float(timings[1]) if timings else None,
        first=float(timings[2]) if timings else None,
        warmup=warmup,
        runs=runs or (Stat(0, mean=float(timings[4])) if timings else None),
        peak_mib=float(peak[1]) if peak else None,
        replaced=replaced,
        fallback=None if delegate == "xnnpack" else _fallback(lines, replaced, delegate),
        unknown_flags=frozenset(re.findall(r"--([A-Za-z_0-9]+)", " ".join(unknown))),
        misnamed=tuple((match[1], match[2]) for line in lines if (match := _MISNAMED.search(line))),
        error=error_line(text),
    )


def _last(pattern: re.Pattern[str], lines: list[str]) -> re.Match[str] | None:
    found = [match for line in lines if (match := pattern.search(line))]
    return found[-1] if found else None


def _stats(lines: list[str]) -> tuple[Stat | None, Stat | None]:
    """Return the statistics of warm-up and of the timed runs: the first such line is warm-up.

    A process that was ended in between has one: that is warm-up, and never taken for the runs.
    """
    found = [_stat(line, match) for line in lines if (match := _STAT.match(line))]
    return (found[0] if found else None), (found[1] if len(found) > 1 else None)


def _stat(line: str, begin: re.Match[str]) -> Stat:
    count = int(begin[1])
    values = {name: float(value) for name, value in _STAT_FIELD.findall(line)}
    # All runs equal, or only one: "count=1 curr=12345", "count=3 curr=7(all same)".
    same = values.get("curr") if "min" not in values and count else None
    return Stat(
        count,
        mean=values.get("avg", same),
        median=values.get("median", same),
        p95=values.get("p95", same),
        min=values.get("min", same),
        max=values.get("max", same),
    )


def _replaced(lines: list[str]) -> Iterator[Replaced]:
    for line in lines:
        match = _REPLACING.search(line)
        if match:
            yield Replaced(match["delegate"], int(match["nodes"]), int(match["total"] or 0))


def _fallback(lines: list[str], replaced: tuple[Replaced, ...], delegate: str) -> bool | None:
    said = "\n".join(lines)
    if "the model graph will not be executed by the delegate" in said:
        return True
    if "the model graph will be completely executed by the delegate" in said:
        return False
    if "the model graph will be partially executed by the delegate" in said:
        return True
    # TfLiteGpuDelegateV2, TfLiteNnapiDelegate; others take what it left.
    asked = [one for one in replaced if delegate in one.delegate.lower()]
    if not asked:
        return True if replaced else None
    counted = [one for one in asked if one.total]
    return any(one.nodes < one.total for one in counted) if counted else None


@dataclass(frozen=True)
class ExecutorRunnerOutput:
    """What one process of executor_runner said. Times in milliseconds.

    Attributes:
        executed: how often the model ran to the end; 0 if it never said so.
        total: the time of all executions; None where this build does not print it.
        iterations: each execution's time, in order; only if all of them were seen.
        load: loading program and method; None where this build does not print it.
        method: which it ran.
        error: the last line of an error, if any.
    """

    executed: int = 0
    total: float | None = None
    iterations: tuple[float, ...] = ()
    load: float | None = None
    method: str = ""
    error: str = ""


def parse_executor_runner(text: str) -> ExecutorRunnerOutput:
    """Read the output of ExecuTorch's executor_runner, from its terminal or through logcat."""
    lines = _unprefixed(text)
    executed, load, method = (
        _last(_EXECUTED, lines),
        _last(_LOADED, lines),
        _last(_METHOD, lines),
    )
    count = int(executed[1]) if executed else 0
    each = {int(match[1]): float(match[3]) for line in lines if (match := _ITERATION.search(line))}
    # logcat drops lines under pressure; an incomplete series would be a biased one.
    whole = count > 0 and sorted(each) == list(range(1, count + 1))
    return ExecutorRunnerOutput(
        executed=count,
        total=float(executed[2]) if executed and executed[2] else None,
        iterations=tuple(each[number] for number in sorted(each)) if whole else (),
        load=float(load[1]) if load else None,
        method=method[1] if method else "",
        error=error_line(text),
    )


def error_line(text: str) -> str:
    """Return the line that says why a program failed: the last with a word for it, or ""."""
    words = re.compile(
        r"\b(error|fatal|failed|abort(ed)?|cannot|can't|not found|no such file|permission denied"
        r"|not executable|segmentation|killed|unknown command line flag)\b",
        re.IGNORECASE,
    )
    found = [line for line in _unprefixed(text) if words.search(line)]
    return "".join(char if char.isprintable() else "?" for char in found[-1])[:300] if found else ""


def crash_reason(text: str, app: str) -> str:
    """Return the cause of an app's last crash in ``logcat -b crash``, or "".

    The buffer is everybody's: a block of it names its process in the second line ("Process: APP,
    PID: 42") and then has the stack, in which the last exception is the first cause.
    """
    reason, ours = "", False
    for line in messages(text):
        if line.startswith(f"Process: {app},"):
            reason, ours = "", True
        elif line.startswith(_CRASH_BEGINS):
            ours = False
        elif ours and not line.startswith("at ") and ("Exception" in line or "Error" in line):
            reason = line
    return reason


def instrumentation_failure(text: str) -> str:
    """Return why ``am instrument -w -r`` did not pass, or "" if it did.

    It ran to its end and every test was OK with `INSTRUMENTATION_CODE: -1` and `OK (n tests)`; its
    exit code and adb's say nothing.
    """
    code = re.search(r"^INSTRUMENTATION_CODE: (-?\d+)", text, re.MULTILINE)
    ran = re.search(rf"\bOK \({_COUNT} tests?\)", text)
    tests = int(ran[1]) if ran else 0
    if code and code[1] == "-1" and tests:
        return ""
    failed = re.search(r"^INSTRUMENTATION_(?:FAILED|ABORTED|RESULT: shortMsg=).*$", text, re.M)
    counted = re.search(r"Tests run: (\d+),\s*Failures: (\d+)", text)
    if counted:
        stack = re.findall(r"^INSTRUMENTATION_STATUS: stack=(.*)$", text, re.MULTILINE)
        reason = f"{counted[2]} of {counted[1]} tests failed"
        return reason + (f": {stack[-1].strip()[:200]}" if stack and stack[-1].strip() else "")
    if failed:
        return failed[0].strip()[:300]
    return "no test ran" if ran and not tests else "it did not run to its end"


def am_start_failure(text: str) -> str:
    """Return why ``am start -W`` did not start an activity, or "" if it did.

    Its exit code is 0 for a missing activity on many versions of Android.
    """
    for line in text.splitlines():
        if re.match(r"\s*(Error\b|java\.lang\.|Exception\b|Security exception)", line):
            detail = re.search(r"^Error: .*$", text, re.MULTILINE)
            return (detail[0] if detail else line).strip()[:300]
    status = re.search(r"^Status: (\S+)", text, re.MULTILINE)
    if status and status[1] != "ok":
        return f"am start: {status[0]}"
    return "" if status else "am start said nothing of a start"
