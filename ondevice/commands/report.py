"""``ondevice report``: benchmark results in; Markdown, one HTML page and plots out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import console
from ondevice.errors import GateError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ondevice.report.cells import Table
    from ondevice.report.content import Report
    from ondevice.report.study import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice report``."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULT",
        help="a result of 'ondevice bench' or of the app, or a directory of them",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the report's directory"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OLD",
        help="older results, a file or a directory: adds what changed",
    )
    parser.add_argument(
        "--fail-on",
        metavar="PERCENT",
        help="with --against: exit 3 if a figure is worse by more than this and outside the"
        " noise, for example 5%%",
    )
    parser.add_argument(
        "--teacher",
        metavar="MODEL",
        help="the model that the others are compared with (default: the one the scores name, or"
        " that PyTorch ran)",
    )
    parser.add_argument(
        "--published", action="store_true", help="add figures that others published, cited"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Write the report, print its main tables, and return the exit code."""
    if arguments.fail_on is not None and arguments.against is None:
        raise UserError("--fail-on compares with older results: give them with --against OLD")

    from ondevice.report import comparison, content, output
    from ondevice.report.speedup import check_teacher
    from ondevice.report.text import plural

    threshold = None
    if arguments.fail_on is not None:
        threshold = comparison.parse_threshold(arguments.fail_on)
    output.check_place(arguments.out)
    progress = console.Progress()
    with progress.step("reading results"):
        study = _gather(arguments.results)
    check_teacher(study, arguments.teacher)
    _tell_skipped(progress, study)
    changes = None
    if arguments.against is not None:
        with progress.step("reading older results"):
            older = _gather([arguments.against])
        _tell_skipped(progress, older, "old: ")
        with progress.step("comparing"):
            changes = comparison.compare(study, older)
    with progress.step("drawing"):
        report = content.build(
            study,
            teacher=arguments.teacher,
            comparison=changes,
            fail_on=threshold,
            published=arguments.published,
        )
        files = output.write(report, arguments.out)
    regressions = [] if changes is None or threshold is None else changes.regressions(threshold)
    if arguments.json:
        document = output.document(report, files) | {
            "out": str(arguments.out),
            "regressions": regressions,
        }
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(_text(report, arguments.out))
    for regression in regressions:
        progress.say(f"regression: {regression}")
    if changes is not None and changes.left_out:
        progress.say(
            f"not compared: {plural(len(changes.left_out), 'thing')}, listed in the report;"
            f" the first: {changes.left_out[0]}"
        )
    if changes is not None and threshold is not None and (warning := changes.warning(threshold)):
        progress.say(warning)
    return GateError.exit_code if regressions else 0


def _tell_skipped(progress: console.Progress, study: Study, side: str = "") -> None:
    """Say which files of a study could not be used, and why."""
    for skipped in study.skipped:
        progress.say(f"{side}skipped: {skipped.name}: {skipped.reason}")
    if study.skipped_total > len(study.skipped):
        progress.say(f"{side}skipped: {study.skipped_total - len(study.skipped):,} more")


def _gather(places: Sequence[Path]) -> Study:
    """Read results; refuse if none can be used."""
    from ondevice.report.sources import read
    from ondevice.report.study import gather
    from ondevice.report.text import plural

    study = gather(read(places))
    if study.documents:
        return study
    given = ", ".join(f"'{place}'" for place in places)
    if not study.skipped:
        raise UserError(f"there is no result in {given}; results are .json files")
    first = study.skipped[0]
    raise UserError(
        f"no usable result in {given}: {plural(study.skipped_total, 'file')} skipped, the first:"
        f" {first.name}: {first.reason}"
    )


def _text(report: Report, place: Path) -> str:
    """Return the main tables and where the rest is."""
    parts = []
    for section in report.sections:
        for table in section.tables:
            if table.key in {"study", "changes"} and table.rows:
                parts += [section.title, _table(table), ""]
    parts += [*report.headlines, ""] if report.headlines else []
    return "\n".join([*parts, f"{place / 'report.html'}", f"{place / 'report.md'}", ""])


def _table(table: Table) -> str:
    """Return a table for a terminal; columns with figures to the right, whatever is missing."""
    columns = []
    for header, cells in zip(table.headers, zip(*table.rows, strict=True), strict=True):
        texts = [
            header,
            *("not run" if cell.evidence == "not run" else cell.text for cell in cells),
        ]
        if any(cell.number for cell in cells):
            width = max(map(len, texts))
            texts = [text.rjust(width) for text in texts]
        columns.append(texts)
    headers, *rows = zip(*columns, strict=True)
    return console.table(headers, rows)
