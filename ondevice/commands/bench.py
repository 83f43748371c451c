"""``ondevice bench``: bundles in, one table out, and one JSON document for each of them."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import console
from ondevice.bench import DEVICES, MIN_ITERATIONS, BenchOptions
from ondevice.errors import GateError, UserError, choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ondevice.bench import RunOnDevice
    from ondevice.bench.results import BenchmarkResult, Kind, Measurement
    from ondevice.statistics import Summary

DEFAULT_OUT = Path("results")
NOTHING = "–"
# A line of the table for each length at which one of these was timed.
SHOWN = ("model_only", "end_to_end")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice bench``."""
    defaults = BenchOptions()
    kinds = "; ".join(
        f"{name}{f'[:{device.identifier}]' if device.identifier else ''}: {device.summary}"
        for name, device in DEVICES.items()
    )
    parser.add_argument(
        "bundle", type=Path, nargs="+", metavar="BUNDLE", help="bundles' directories"
    )
    parser.add_argument(
        "--baseline",
        metavar="MODEL",
        help="the teacher, run by PyTorch beside the bundles: an embedded name, a checkpoint"
        " directory or a hub id",
    )
    parser.add_argument("--device", metavar="KIND", help=f"{kinds} (default: host)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="questions with answers (SQuAD JSON), for the score and for real traffic",
    )
    parser.add_argument(
        "--questions",
        type=int,
        default=defaults.questions,
        metavar="N",
        help="at most so many of them, at even distances; 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=defaults.iterations,
        metavar="N",
        help=f"timed runs at each length, {MIN_ITERATIONS} or more for a figure to publish"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help=f"CPU threads of every runtime (default: {defaults.threads})",
    )
    parser.add_argument(
        "--lengths", metavar="N,N,…", help="lengths to time (default: all that a bundle serves)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=defaults.seconds,
        metavar="SECONDS",
        help="how long one request may take before it counts as hung (default: %(default)g)",
    )
    parser.add_argument(
        "--runner",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a program to push to a phone (benchmark_model, executor_runner); repeatable",
    )
    parser.add_argument("--app", metavar="ID", help="run the benchmark of this app on the phone")
    parser.add_argument(
        "--import",
        dest="imported",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="measure nothing: take in what the app on a phone wrote for one of the bundles;"
        " repeatable",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help="where result documents go (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print what was found, and return the exit code."""
    kind, _, identifier = (arguments.device or "host").partition(":")
    if kind not in DEVICES:
        raise UserError(choices("device", kind, DEVICES))
    _refuse_ignored(arguments, kind)
    options = _options(arguments)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise UserError(f"'{arguments.out}' is a file; choose a directory with --out")

    from ondevice.bench.results import write_result

    written: dict[Path, BenchmarkResult] = {}

    def keep(result: BenchmarkResult) -> None:
        written[write_result(arguments.out, result)] = result

    if arguments.imported:
        from ondevice.bench.importing import import_result

        # All of them first: nothing is written if one is refused.
        for result in [import_result(path, arguments.bundle) for path in arguments.imported]:
            keep(result)
        return _show(written, as_json=arguments.json)
    measure: RunOnDevice = importlib.import_module(DEVICES[kind].module).run
    measure(
        arguments.bundle,
        options,
        identifier=identifier or None,
        keep=keep,
        progress=console.Progress(),
    )
    return _show(written, as_json=arguments.json)


def _show(written: dict[Path, BenchmarkResult], *, as_json: bool) -> int:
    """Print the results; return the exit code."""
    if as_json:
        document = {
            "results": [
                {"file": str(path), "result": result.model_dump(mode="json")}
                for path, result in written.items()
            ]
        }
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(render(written) + "\n")
    broken = [one for one in written.values() if one.reason and one.evidence != "not run"]
    return GateError.exit_code if broken else 0


def _refuse_ignored(arguments: argparse.Namespace, kind: str) -> None:
    """Refuse what was asked for and would have no effect."""
    ignored: tuple[str, ...]
    if arguments.imported:
        ignored, why = ("baseline", "data", "device"), "with --import, which measures nothing"
    elif kind == "ios" or (kind != "host" and arguments.app is not None):
        ignored, why = ("threads", "lengths"), "here: the app on the phone chooses them itself"
    else:
        return
    given = [f"--{name}" for name in ignored if getattr(arguments, name) is not None]
    if given:
        raise UserError(f"{' and '.join(given)} would have no effect {why}; leave it out")


def _options(arguments: argparse.Namespace) -> BenchOptions:
    from ondevice.bench.parts import MAX_SAMPLES, MAX_THREADS

    bounds = {"iterations": (1, MAX_SAMPLES), "threads": (1, MAX_THREADS), "questions": (0, None)}
    for name, (least, most) in bounds.items():
        given = getattr(arguments, name)
        if given is None:
            continue
        if given < least or (most is not None and given > most):
            limit = f"at least {least}" if most is None else f"from {least} to {most}"
            raise UserError(f"--{name} must be {limit}, not {given}")
    if not (math.isfinite(arguments.timeout) and arguments.timeout > 0):
        raise UserError(f"--timeout must be a number of seconds, not {arguments.timeout:g}")
    for path in arguments.runner:
        if not path.is_file():
            raise UserError(f"no file '{path}' for --runner")
    if arguments.data is not None and not arguments.data.is_file():
        raise UserError(f"no file '{arguments.data}' for --data")
    return BenchOptions(
        baseline=arguments.baseline,
        data=arguments.data,
        iterations=arguments.iterations,
        threads=BenchOptions.threads if arguments.threads is None else arguments.threads,
        lengths=_lengths(arguments.lengths),
        questions=arguments.questions,
        seconds=arguments.timeout,
        runners=tuple(arguments.runner),
        app=arguments.app,
    )


def _lengths(given: str | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    try:
        return tuple(sorted({int(word) for word in given.split(",")}))
    except ValueError as error:
        raise UserError(
            f"--lengths takes whole numbers with commas, for example 128,384; not '{given}'"
        ) from error


# --- the table ---


def render(written: dict[Path, BenchmarkResult]) -> str:
    """Return the table of results, with what is to be said about them."""
    results = list(written.values())
    headers = (
        *("model", "target", "scheme", "MB", "cold load ms", "peak MB", "length"),
        *("model ms", "p90", "end to end ms", "× baseline", "F1", "evidence"),
    )
    rows = [row for result in results for row in _rows(result, results)]
    lines = [console.table(headers, rows)]
    remarks = [
        f"{'not run' if one.evidence == 'not run' else 'PARTIAL'}: {_label(one)}: {one.reason}"
        for one in results
        if one.reason
    ]
    notes = {note: None for one in results for note in one.notes}
    if any(_iterations(one) < MIN_ITERATIONS for one in results):
        notes[f"fewer than {MIN_ITERATIONS} timed runs: to try things out, not to publish"] = None
    lines += ["", *remarks, *(f"note: {note}" for note in notes)] if remarks or notes else []
    folder = next(iter(written)).parent if written else DEFAULT_OUT
    lines += ["", f"medians with 95 % intervals; raw samples in {folder}/"]
    return "\n".join(lines)


def _label(result: BenchmarkResult) -> str:
    artifact = result.artifact
    return f"{artifact.model} {artifact.target} {artifact.scheme}"


def _iterations(result: BenchmarkResult) -> int:
    """Return how often it was to run; enough where it was not."""
    timed = result.measurements and result.protocol
    return result.protocol.iterations if timed and result.protocol else MIN_ITERATIONS


def _rows(result: BenchmarkResult, results: Sequence[BenchmarkResult]) -> list[tuple[str, ...]]:
    artifact = result.artifact
    head = (
        artifact.model,
        artifact.target,
        artifact.scheme,
        NOTHING if artifact.bytes is None else f"{artifact.bytes / 1e6:.1f}",
        _ms(_middle(_find(result, "load_cold", None))),
        NOTHING if result.memory is None else f"{result.memory.peak_bytes / 1e6:.0f}",
    )
    lengths = {one.length: None for one in result.measurements if one.kind in SHOWN}
    tail = (_f1(result), result.evidence)
    if not lengths:
        return [(*head, *[NOTHING] * 5, *tail)]
    return [(*head, *_times(result, results, length), *tail) for length in lengths]


def _times(
    result: BenchmarkResult, results: Sequence[BenchmarkResult], length: int | None
) -> tuple[str, ...]:
    model = _find(result, "model_only", length)
    baseline = next((one for one in results if one.artifact.target == "torch"), None)
    theirs = None if baseline is None else _middle(_find(baseline, "model_only", length))
    ours = _middle(model)
    faster = NOTHING if theirs is None or ours is None else f"{theirs / ours:.2f}"
    whole = _find(result, "end_to_end", length)
    return (str(length), _interval(model), _ms(_p90(model)), _interval(whole), faster)


def _find(result: BenchmarkResult, kind: Kind, length: int | None) -> Measurement | None:
    found = (one for one in result.measurements if (one.kind, one.length) == (kind, length))
    return next(found, None)


def _middle(measurement: Measurement | None) -> float | None:
    """Return the median in ns, or what a source without samples gives in its place."""
    if measurement is None:
        return None
    if measurement.reported is not None:
        return measurement.reported.median or measurement.reported.mean
    return _summary(measurement).median.value


def _p90(measurement: Measurement | None) -> float | None:
    if measurement is None:
        return None
    return measurement.reported.p90 if measurement.reported else _summary(measurement).p90.value


def _interval(measurement: Measurement | None) -> str:
    if measurement is None or not measurement.samples:
        return _ms(_middle(measurement))
    found = _summary(measurement).median
    return f"{_ms(found.value)} [{_ms(found.low)}, {_ms(found.high)}]"


def _summary(measurement: Measurement) -> Summary:
    from ondevice.statistics import summarize

    return summarize(measurement.samples)


def _f1(result: BenchmarkResult) -> str:
    if result.score is None:
        return NOTHING
    from ondevice.bench.score import summarize_score

    found = summarize_score(result.score)
    kept = found.retention
    share = "" if kept is None or math.isnan(kept.value) else f" ({kept.value:.1f} %)"
    return NOTHING if found.f1 is None else f"{found.f1.value:.2f}{share}"


def _ms(nanoseconds: float | None) -> str:
    if nanoseconds is None:
        return NOTHING
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.3f}" if milliseconds < 1 else f"{milliseconds:.1f}"
