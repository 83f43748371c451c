"""``ondevice verify``: a bundle in, one table of evidence out, also into its manifest.

The exit code is 3 if a check failed: of the artifact itself, or on a runtime that the user named.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import card, console
from ondevice.caching import CACHE_VARIABLE, cache_directory
from ondevice.errors import GateError, UserError
from ondevice.verify import promises
from ondevice.verify.gate_rules import MIN_EXAMPLES, is_task, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ondevice.manifest import CheckInfo

STATUSES = ("passed", "failed", "not_run")

# Options that take a number, and its bounds.
NUMBERS = {
    "min_delegated": (0.0, 100.0),
    "max_f1_drop": (-100.0, 100.0),
    "max_flips": (0.0, 100.0),
    "min_cosine": (-1.0, 1.0),
    "examples": (0, None),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice verify``."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    parser.add_argument(
        "--eval",
        type=Path,
        metavar="FILE",
        help="data for the task gate: SQuAD JSON (qa), TSV, CSV or JSONL with text and label"
        " (classify), CoNLL columns (tokens), a text a line (embed); default: own samples",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="the checkpoint that the bundle was made from (default: the embedded one, if it was)",
    )
    parser.add_argument(
        "--examples",
        type=_whole,
        metavar="N",
        help="at most so many examples in the task gate, 0 for all; fewer than"
        f" {MIN_EXAMPLES} decide nothing (default: all; 40 in the Core ML reference interpreter)",
    )
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="NAME==VERSION",
        help="run the goldens on this version too; repeatable. It gets an environment of its own,"
        " installed with pip when first asked for, which needs the network, and kept in"
        f" {_cache()} (${CACHE_VARIABLE} moves it)",
    )
    parser.add_argument(
        "--app-runtime",
        action="append",
        default=[],
        metavar="NAME==VERSION",
        help="what the app ships: can it read the file? repeatable",
    )
    parser.add_argument(
        "--min-delegated",
        type=_number,
        metavar="PCT",
        help="percent of multiplications that must run in XNNPACK, tflite and executorch only"
        " (default: 95)",
    )
    parser.add_argument(
        "--max-f1-drop",
        type=_number,
        metavar="POINTS",
        help="F1 or accuracy that may be lost (default: the scheme's)",
    )
    parser.add_argument(
        "--max-flips",
        type=_number,
        metavar="PCT",
        help="percent of the answers that may change (default: the scheme's)",
    )
    parser.add_argument(
        "--min-cosine",
        type=_number,
        metavar="N",
        help="mean cosine of embeddings, task embed only (default: the scheme's)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _cache() -> str:
    # argparse takes a per cent sign for the beginning of a format.
    return str(cache_directory() / "runtimes").replace("%", "%%")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a whole number is needed, not '{text}'") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a number is needed, not '{text}'") from error


def run(arguments: argparse.Namespace) -> int:
    """Verify, print what was found, write it into the manifest, and return the exit code.

    With ``--json`` what stands in the way is a document on stdout, too.
    """
    try:
        return _run(arguments)
    except UserError as error:
        if arguments.json:
            _print_json({"bundle": str(arguments.bundle), "error": str(error)})
        raise


def _run(arguments: argparse.Namespace) -> int:
    for name, (low, high) in NUMBERS.items():
        _check_bounds(name, getattr(arguments, name), low, high)

    from ondevice.verify import check

    options = check.VerifyOptions(
        data=arguments.eval,
        model=arguments.model,
        examples=arguments.examples,
        runtimes=tuple(arguments.runtime),
        app_runtimes=tuple(arguments.app_runtime),
        min_delegated=arguments.min_delegated,
        max_drop=arguments.max_f1_drop,
        max_flips=arguments.max_flips,
        min_cosine=arguments.min_cosine,
    )
    manifest, rows = check.run(arguments.bundle, options, console.Progress())
    failed = any(row.status == "failed" for row in rows)
    if arguments.json:
        document = {
            "bundle": str(arguments.bundle),
            "failed": failed,
            "counts": {word: sum(row.status == word for row in rows) for word in STATUSES},
            "checks": [row.model_dump() for row in rows],
        }
        _print_json(document)
    else:
        sys.stdout.write(_text(rows) + "\n")
    # A check that failed, or what was found, is the news; that it could not be noted is not.
    try:
        check.record(arguments.bundle, manifest, rows)
    except UserError as error:
        sys.stderr.write(f"ondevice: {error}\n")
        return GateError.exit_code if failed else error.exit_code
    before = check.larger(rows, manifest.checks)
    if before:
        sys.stderr.write(_kept(rows, before))
    return GateError.exit_code if failed else 0


def _kept(rows: Sequence[CheckInfo], before: Sequence[CheckInfo]) -> str:
    """Say that a larger run's rows of the task gate stay in the manifest, and what they found."""
    now = size(row for row in rows if is_task(row))
    failed = [row.check for row in before if row.status == "failed"]
    found = f"; there, failed: {', '.join(failed)}" if failed else ""
    return (
        f"ondevice: the manifest keeps what an earlier task gate found on {size(before)} examples;"
        f" this one judged {now}{found}\n"
    )


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _check_bounds(name: str, value: float | None, low: float, high: float | None) -> None:
    # Written so that NaN is refused.
    if value is None or (value >= low and (high is None or value <= high)):
        return
    bounds = f"from {low:g} to {high:g}" if high is not None else f"{low:g} or more"
    raise UserError(f"--{name.replace('_', '-')} must be {bounds}, not {value:g}")


def _text(rows: Sequence[CheckInfo]) -> str:
    headers = ("check", "runtime", "length", "figure", "limit", "status", "evidence")
    lines = [console.table(headers, [_row(row) for row in rows])]
    reasons = [row for row in rows if row.reason and (row.status != "passed" or _notes(row))]
    if reasons:
        lines.append("")
    for row in reasons:
        where = f" at length {row.length}" if row.length is not None else ""
        lines.append(f"{_status(row)}: {row.check}, {_runtime(row)}{where}: {_reason(row)}")
    return "\n".join(lines)


def _notes(row: CheckInfo) -> bool:
    """Tell whether a check says more than that it passed: what runs outside the fast kernels."""
    return row.check == "delegation"


def _row(row: CheckInfo) -> tuple[str, ...]:
    length = "–" if row.length is None else str(row.length)
    cells = (
        row.check,
        _runtime(row),
        length,
        row.figure,
        row.limit,
        _status(row),
        card.evidence(row),
    )
    return tuple(cell or "–" for cell in cells)


def _runtime(row: CheckInfo) -> str:
    return f"{row.runtime} {row.version}".rstrip()


def _status(row: CheckInfo) -> str:
    word = promises.outcome(row)
    return "FAILED" if word == "failed" else word


def _reason(row: CheckInfo) -> str:
    # The matrix's reasons begin with what the status says.
    return row.reason.removeprefix(f"{promises.outcome(row)}: ")
