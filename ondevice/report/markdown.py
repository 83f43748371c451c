"""A report as Markdown, every figure with its evidence beside it."""

from __future__ import annotations

from ondevice.report.cells import Cell, Table
from ondevice.report.content import EVIDENCE, Report, Section
from ondevice.report.text import markdown

PLOTS = "plots"


def render(report: Report) -> str:
    """Return a report as Markdown; plots are linked as files of the directory beside it."""
    lines = [f"# {report.title}", ""]
    lines += [f"- {word}: {markdown(text)}" for word, text in report.facts]
    lines += ["", *(f"**{markdown(sentence)}**\n" for sentence in report.headlines)]
    for section in report.sections:
        lines += _section(section)
    lines += ["## Evidence", ""]
    lines += [f"- `{word}`: {meaning}" for word, meaning in EVIDENCE.items()]
    return "\n".join([*lines, ""])


def _section(section: Section) -> list[str]:
    lines = [f"## {markdown(section.title)}", ""]
    lines += [f"- {word}: {markdown(text)}" for word, text in section.facts]
    lines += [""] * bool(section.facts)
    for sentence in section.sentences:
        lines += [markdown(sentence), ""]
    for table in section.tables:
        lines += _table(table, alone=table.title == section.title)
    for plot in section.plots:
        lines += [f"![{markdown(plot.alt)}]({PLOTS}/{plot.key}.png)", ""]
    for table in section.details:
        lines += _table(table, alone=False)
    return lines


def _table(table: Table, *, alone: bool) -> list[str]:
    head = [] if alone else [f"### {markdown(table.title)}", ""]
    return [*head, markdown(table.caption), "", *table_lines(table)]


def table_lines(table: Table) -> list[str]:
    """Return a table without title and caption: its lines, and the reasons of its cells."""
    reasons = table.reasons()
    marks = [
        "---:" if table.rows and all(row[place].number for row in table.rows) else "---"
        for place in range(len(table.headers))
    ]
    lines = ["| " + " | ".join(map(markdown, table.headers)) + " |", f"|{'|'.join(marks)}|"]
    lines += [f"| {' | '.join(_cell(cell, reasons) for cell in row)} |" for row in table.rows]
    lines.append("")
    lines += [f"{place}. {markdown(reason)}" for reason, place in reasons.items()]
    return [*lines, ""] if reasons else lines


def _cell(cell: Cell, reasons: dict[str, int]) -> str:
    parts = [markdown(cell.text)]
    if cell.detail:
        parts.append(f"({markdown(cell.detail)})")
    if cell.evidence:
        parts.append(f"*{cell.evidence}*")
    if cell.reason:
        parts.append(f"\\[{reasons[cell.reason]}\\]")
    return " ".join(parts)
