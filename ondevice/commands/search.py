"""``ondevice search``: a budget in; one table, or one JSON document, and pictures out.

The exit code is 3 if there is a target on which nothing fits.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import console
from ondevice.commands import _checkpoint
from ondevice.errors import GateError, MissingPackageError, UserError
from ondevice.models import DEFAULT_MODEL
from ondevice.search import DEFAULT_OUT, REFERENCE_QUESTIONS, Budget, SearchOptions
from ondevice.search.options import AUTO, KEEPS
from ondevice.targets import TARGETS

if TYPE_CHECKING:
    from ondevice.search.pipeline import Found

RESULT_FILE = "search.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice search``."""
    offered = "; ".join(
        f"{target.name}: {', '.join(target.schemes)}" for target in TARGETS.values()
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help=f"{_checkpoint.WHICH}; several with commas or repeated, for example students of"
        f" several layers (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--target",
        default="coreml",
        metavar="NAME",
        help=f"{', '.join(TARGETS)}, or all; several with commas: the best is chosen for each"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--scheme",
        metavar="NAME",
        help=f"which to consider, several with commas (default: all of the targets: {offered})",
    )
    parser.add_argument(
        "--lengths",
        action="append",
        metavar="N,N,…",
        help="sequence lengths that one artifact serves; repeated, each is an alternative"
        " (default: 384)",
    )
    parser.add_argument(
        "--max-mb", type=_number, metavar="N", help="size of the artifact, in 10^6 bytes"
    )
    parser.add_argument(
        "--max-f1-drop",
        type=_number,
        metavar="POINTS",
        help="points of F1 that may be lost against the candidate's own checkpoint",
    )
    parser.add_argument(
        "--max-p90-ms",
        type=_number,
        metavar="MS",
        help="p90 on this machine, from text to answer: of one window at the longest length; of the"
        " questions of --data, with all of their windows, if there are several --lengths",
    )
    parser.add_argument(
        "--min-retention", type=_number, metavar="PERCENT", help="of the teacher's F1"
    )
    parser.add_argument(
        "--teacher",
        metavar="MODEL",
        help="whose F1 is retained (default: the embedded teacher, for the embedded student)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="questions with answers, SQuAD JSON (default: the project's samples)",
    )
    parser.add_argument(
        "--questions",
        type=_whole,
        metavar="N",
        help="at most so many of them, at even distances; 0 for all (default: all;"
        f" {REFERENCE_QUESTIONS} in the Core ML reference interpreter)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="texts like those the app will see, for schemes that look at some and for what is kept"
        " in more bits; SQuAD JSON, no labels needed (default: the project's samples)",
    )
    parser.add_argument(
        "--ios",
        type=_whole,
        metavar="N",
        help="the oldest iOS that Core ML artifacts must load on, 15 to 18 (default: 16; 18 for"
        " int4, pal4 and several lengths)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help="where bundles, answers and results are kept; the same command goes on where it was"
        " interrupted (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        choices=KEEPS,
        default=AUTO,
        help="auto: consider each scheme that rounds weights (but int8-static) also with the parts"
        " that it hurts most in more bits, as many as fit (default: %(default)s)",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="build also what failed in an earlier search"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a number is needed, not '{text}'") from error


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a whole number is needed, not '{text}'") from error


def run(arguments: argparse.Namespace) -> int:
    """Search, print what was found, write it down, and return the exit code."""
    options = _options(arguments)
    if options.out.exists() and not options.out.is_dir():
        raise UserError(f"'{options.out}' is a file; choose a directory with --out")

    from ondevice.search import document, pipeline, table
    from ondevice.search.files import write_text

    progress = console.Progress()
    plots: list[str] = []
    text = ""

    def write(found: Found) -> None:
        nonlocal text
        plots.extend(_draw(found, options.out, progress))
        text = json.dumps(document.document(found, plots), indent=1, ensure_ascii=False) + "\n"
        write_text(options.out / RESULT_FILE, text)

    try:
        found = pipeline.run(options, progress, write=write)
    except KeyboardInterrupt:
        progress.say(f"what was found so far is kept in '{options.out}'; the same command goes on")
        raise
    if arguments.json:
        sys.stdout.write(text)
    else:
        kept = ", ".join(str(options.out / name) for name in (RESULT_FILE, *plots))
        sys.stdout.write(f"{table.render(found)}\n{kept}\n")
    unfit = table.unfit(found)
    for target in unfit:
        sys.stderr.write(f"ondevice: {table.sentence(found, target)}\n")
    return GateError.exit_code if unfit else 0


def _draw(found: Found, out: Path, progress: console.Progress) -> list[str]:
    """Draw the trade-off; where that cannot be done, say what is missing.

    Pictures of an earlier search do not stay beside another result.
    """
    from ondevice.search import pictures

    for earlier in (*out.glob(f"{pictures.PREFIX}*.png"), *out.glob(f"{pictures.PREFIX}*.svg")):
        earlier.unlink(missing_ok=True)
    try:
        plots = pictures.draw(found)
    except MissingPackageError as error:
        progress.say(f"  no picture was drawn: {error}")
        return []
    try:
        return [name for plot in plots for name in plot.write(out)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write to '{out}': {reason}; choose another --out") from error


def _options(arguments: argparse.Namespace) -> SearchOptions:
    schemes = arguments.scheme
    return SearchOptions(
        models=_models(arguments.model or [DEFAULT_MODEL]),
        targets=_words(arguments.target),
        schemes=None if schemes is None else _words(schemes),
        lengths=tuple(_lengths(text) for text in arguments.lengths or ()),
        teacher=arguments.teacher,
        data=arguments.data,
        questions=arguments.questions,
        calibration=arguments.calibration,
        keep=arguments.keep,
        ios=arguments.ios,
        budget=Budget(
            max_mb=arguments.max_mb,
            max_f1_drop=arguments.max_f1_drop,
            max_p90_ms=arguments.max_p90_ms,
            min_retention=arguments.min_retention,
        ),
        out=arguments.out,
        retry_failed=arguments.retry_failed,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _models(given: list[str]) -> tuple[str, ...]:
    """Return the models; the name of a directory may hold a comma."""
    return tuple(
        name for text in given for name in ([text] if Path(text).is_dir() else _words(text))
    )


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"--lengths takes whole numbers with commas, for example 128,384; not '{text}'"
        ) from error
