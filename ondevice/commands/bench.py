"""``ondevice bench``: bundles in, one table out, and one JSON document for each of them."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import console
from ondevice.bench import DEFAULT_OUT, DELEGATES, DEVICES, MIN_ITERATIONS, BenchOptions
from ondevice.errors import GateError, UserError, choices

if TYPE_CHECKING:
    from ondevice.bench import RunOnDevice
    from ondevice.bench.results import BenchmarkResult


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
        metavar="N",
        help="at most so many of them, at even distances; 0 for all"
        f" (default: {defaults.questions})",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help=f"timed runs at each length, {MIN_ITERATIONS} or more for a figure to publish"
        f" (default: {defaults.iterations})",
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
        metavar="SECONDS",
        help="how long one request may take before it counts as hung"
        f" (default: {defaults.seconds:g})",
    )
    parser.add_argument(
        "--runner",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a program to push to a phone (benchmark_model, executor_runner); repeatable",
    )
    parser.add_argument(
        "--delegate",
        choices=DELEGATES,
        help="what benchmark_model runs an artifact with on a phone (default:"
        f" {defaults.delegate}, which is the CPU)",
    )
    parser.add_argument("--app", metavar="ID", help="run the benchmark of this app on the phone")
    parser.add_argument(
        "--xctest",
        type=Path,
        metavar="PROJECT",
        help="an Xcode project (mobile_demo/ios/OnDeviceQA.xcodeproj): run its performance tests on"
        " the iPhone too, and note their figures",
    )
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
        help="where result documents go, each run's under names of their own (default:"
        " %(default)s)",
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
        written[write_result(arguments.out, result, imported=bool(arguments.imported))] = result

    if arguments.imported:
        from ondevice.bench.importing import import_result, refuse_wrong

        # All of them first: nothing is written if one is refused.
        for result in [import_result(path, arguments.bundle) for path in arguments.imported]:
            keep(result)
        code = _show(written, as_json=arguments.json)
        refuse_wrong(written)
        return code
    measure: RunOnDevice = importlib.import_module(DEVICES[kind].module).run
    measure(
        arguments.bundle,
        options,
        identifier=identifier or None,
        keep=keep,
        progress=console.Progress(),
    )
    code = _show(written, as_json=arguments.json)
    _refuse_nothing(list(written.values()))
    return code


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
        from ondevice.bench import table

        sys.stdout.write(table.render(written) + "\n")
    broken = [one for one in written.values() if one.reason and one.evidence != "not run"]
    return GateError.exit_code if broken else 0


def _refuse_nothing(results: Sequence[BenchmarkResult]) -> None:
    """Refuse to call it done if nothing ran; the documents say why of each.

    Raises:
        UserError: nothing did.
    """
    if results and all(one.evidence == "not run" for one in results):
        artifact = results[0].artifact
        label = f"{artifact.model} {artifact.target} {artifact.scheme}"
        raise UserError(f"nothing was measured: {label}: {results[0].reason}")


def _refuse_ignored(arguments: argparse.Namespace, kind: str) -> None:
    """Refuse what was asked for and would have no effect."""
    ignored: tuple[str, ...]
    if arguments.xctest is not None and kind != "ios":
        raise UserError("--xctest runs tests on an iPhone: give --device ios, or leave it out")
    if arguments.delegate is not None and kind != "android" and not arguments.imported:
        raise UserError("--delegate is for --runner benchmark_model with --device android")
    if arguments.questions is not None and arguments.data is None and not arguments.imported:
        raise UserError("--questions would have no effect without --data FILE; leave it out")
    if arguments.imported:
        ignored = ("baseline", "device", "data", "questions", "iterations", "threads", "lengths")
        ignored += ("timeout", "runner", "delegate", "app")
        why = "with --import, which measures nothing"
    elif kind == "ios" or (kind != "host" and arguments.app is not None):
        ignored, why = ("threads", "lengths"), "here: the app on the phone chooses them itself"
    elif kind == "coreml":
        ignored, why = ("threads",), "here: Core ML chooses them itself"
    else:
        return
    given = [f"--{name}" for name in ignored if getattr(arguments, name) not in (None, [])]
    if given:
        it = "it" if len(given) == 1 else "them"
        raise UserError(f"{' and '.join(given)} would have no effect {why}; leave {it} out")


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
    defaults = BenchOptions()
    seconds = defaults.seconds if arguments.timeout is None else arguments.timeout
    if not (math.isfinite(seconds) and seconds > 0):
        raise UserError(f"--timeout must be a number of seconds, not {seconds:g}")
    for path in arguments.runner:
        if not path.is_file():
            raise UserError(f"no file '{path}' for --runner")
    if arguments.data is not None and not arguments.data.is_file():
        raise UserError(f"no file '{arguments.data}' for --data")
    if arguments.xctest is not None and not arguments.xctest.is_dir():
        raise UserError(f"no Xcode project '{arguments.xctest}' for --xctest")
    return BenchOptions(
        baseline=arguments.baseline,
        data=arguments.data,
        iterations=_or(arguments.iterations, defaults.iterations),
        threads=_or(arguments.threads, defaults.threads),
        lengths=_lengths(arguments.lengths),
        questions=_or(arguments.questions, defaults.questions),
        seconds=seconds,
        runners=tuple(arguments.runner),
        delegate=arguments.delegate or defaults.delegate,
        app=arguments.app,
        xctest=arguments.xctest,
    )


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _lengths(given: str | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    try:
        return tuple(sorted({int(word) for word in given.split(",")}))
    except ValueError as error:
        raise UserError(
            f"--lengths takes whole numbers with commas, for example 128,384; not '{given}'"
        ) from error
