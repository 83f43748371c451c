"""The directory of a report: its files, and what may be replaced by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ondevice.errors import UserError
from ondevice.report import markdown, page
from ondevice.report.content import Report
from ondevice.report.markdown import PLOTS
from ondevice.report.sources import FORMAT, REPORT_FILE
from ondevice.staging import replacing
from ondevice.untrusted import parse_json

MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"


def write(report: Report, place: Path) -> list[str]:
    """Write a report into a directory, replacing an earlier one; return its files' names.

    Raises:
        UserError: the directory is not an earlier report, or it cannot be written.
    """
    check_place(place)
    with replacing(place) as staged:
        return _fill(staged, report)


def check_place(place: Path) -> None:
    """Refuse to replace what is not an earlier report, or what someone has added to one.

    Raises:
        UserError: the sentence says what stands in the way.
    """
    try:
        if not place.exists() or (place.is_dir() and not any(place.iterdir())):
            return
        listed = _listed(place) if place.is_dir() else None
        if listed is None:
            raise UserError(
                f"'{place}' exists and is not an earlier report, so it is left alone;"
                " choose another --out"
            )
        files = (path for path in place.rglob("*") if not path.is_dir() or path.is_symlink())
        added = sorted(path.relative_to(place).as_posix() for path in files)
    except OSError as error:
        raise UserError(f"cannot read '{place}': {error.strerror or error}") from error
    if extra := [name for name in added if name not in listed]:
        raise UserError(
            f"'{place}' is an earlier report, but '{extra[0]}' in it is not of it;"
            " move that away, or choose another --out"
        )


def document(report: Report, files: list[str]) -> dict[str, Any]:
    """Return a report as JSON: the tables with every cell's evidence, and the names of files."""
    return {
        "format": FORMAT,
        "schema_version": 1,
        "facts": dict(report.facts),
        "headlines": list(report.headlines),
        "sections": [
            {
                "key": section.key,
                "title": section.title,
                "facts": dict(section.facts),
                "sentences": list(section.sentences),
                "tables": [
                    {
                        "key": table.key,
                        "title": table.title,
                        "caption": table.caption,
                        "headers": list(table.headers),
                        "rows": [
                            [
                                {
                                    "text": cell.text,
                                    "evidence": cell.evidence,
                                    "detail": cell.detail,
                                    "reason": cell.reason,
                                }
                                for cell in row
                            ]
                            for row in table.rows
                        ],
                    }
                    for table in (*section.tables, *section.details)
                ],
            }
            for section in report.sections
        ],
        "files": files,
    }


def _fill(directory: Path, report: Report) -> list[str]:
    names = [MARKDOWN_FILE, HTML_FILE, REPORT_FILE]
    (directory / MARKDOWN_FILE).write_text(markdown.render(report), encoding="utf-8")
    (directory / HTML_FILE).write_text(page.render(report), encoding="utf-8")
    plots = [plot for section in report.sections for plot in section.plots]
    if plots:
        (directory / PLOTS).mkdir()
    for plot in plots:
        names += [f"{PLOTS}/{name}" for name in plot.write(directory / PLOTS)]
    text = json.dumps(document(report, names), indent=1, ensure_ascii=False)
    (directory / REPORT_FILE).write_text(f"{text}\n", encoding="utf-8")
    return names


def _listed(place: Path) -> set[str] | None:
    """Return the files of an earlier report, which alone may be replaced; None if it is none."""
    try:
        found = parse_json((place / REPORT_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    files = found.get("files")
    return {str(name) for name in files} if isinstance(files, list) else None
