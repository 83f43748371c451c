"""A report as one HTML page that needs nothing else: no script, no font, no outside resource."""

from __future__ import annotations

from collections.abc import Iterable

from ondevice.report.cells import NOT_RUN, Cell, Table
from ondevice.report.comparison import REGRESSION
from ondevice.report.content import EVIDENCE, Report, Section
from ondevice.report.drawing import Plot, inline
from ondevice.report.html import Markup, element, join
from ondevice.report.style import sheet

# The browser itself holds the page to loading nothing and running nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
# Characters from which on a cell of text needs room to wrap in.
LONG = 28


def render(report: Report) -> str:
    """Return a report as a page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", report.title),
        element("style", Markup(sheet())),
    )
    headlines = [element("li", sentence) for sentence in report.headlines]
    main = element(
        "main",
        element("h1", report.title),
        _facts(report.facts, "facts"),
        element("ul", *headlines, class_="headlines") if headlines else None,
        _contents(report.sections),
        *(_section(section) for section in report.sections),
        _legend(),
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n<body>\n{main}\n</body>\n</html>\n'


def _contents(sections: Iterable[Section]) -> Markup | None:
    links = [
        element("li", element("a", section.title, href=f"#{section.key}")) for section in sections
    ]
    if len(links) < 2:
        return None
    return element("nav", element("ul", *links), aria_label="Contents")


def _section(section: Section) -> Markup:
    plots = [_plot(plot) for plot in section.plots]
    how = element(
        "details", element("summary", "How it was measured"), _facts(section.facts, "how")
    )
    details = [
        element("details", element("summary", table.title), _table(section, table, heading=False))
        for table in section.details
    ]
    return element(
        "section",
        element("h2", section.title),
        *(element("p", sentence, class_="note") for sentence in section.sentences),
        *(
            _table(section, table, heading=table.title != section.title)
            for table in section.tables[:1]
        ),
        element("div", *plots, class_="plots") if plots else None,
        *(_table(section, table, heading=True) for table in section.tables[1:]),
        *details,
        how if section.facts else None,
        id=section.key,
    )


def _facts(facts: tuple[tuple[str, str], ...], name: str) -> Markup:
    pairs = [(element("dt", word), element("dd", text)) for word, text in facts]
    if name == "facts":
        return element("dl", *(element("div", *pair) for pair in pairs), class_=name)
    return element("dl", *(part for pair in pairs for part in pair), class_=name)


def _plot(plot: Plot) -> Markup:
    return element("figure", element("figcaption", plot.title), inline(plot))


def _table(section: Section, table: Table, *, heading: bool) -> Markup:
    reasons = table.reasons()
    stub = max(table.stub, 1)
    name = f"{section.key}-{table.key}"
    numeric = [any(row[place].number for row in table.rows) for place in range(len(table.headers))]
    head = element(
        "tr",
        element("th", table.headers[0], scope="col"),
        *(
            element("th", title, scope="col", class_="n" if right else None)
            for title, right in zip(table.headers[stub:], numeric[stub:], strict=True)
        ),
    )
    body = [
        element(
            "tr",
            _stub(table, row[:stub], reasons, name),
            *(_cell(cell, reasons, name) for cell in row[stub:]),
        )
        for row in table.rows
    ]
    scroll = element(
        "div",
        element("table", element("thead", head), element("tbody", *body)),
        class_="scroll",
        role="region",
        tabindex="0",
        aria_label=table.title,
    )
    notes = [element("li", reason, id=f"{name}-note-{place}") for reason, place in reasons.items()]
    return join(
        element("h3", table.title) if heading else None,
        element("p", table.caption, class_="caption"),
        scroll,
        element("ol", *notes, class_="notes") if notes else None,
    )


def _stub(table: Table, cells: tuple[Cell, ...], reasons: dict[str, int], name: str) -> Markup:
    first, *others = cells
    lines: list[Markup] = []
    for cell, header in zip(others, table.headers[1 : table.stub], strict=True):
        if header == "threads" and lines:
            known = f", {cell.text} threads" if cell.text != "–" else None
            lines[-1] = join(lines[-1], known)
        else:
            lines.append(join(cell.text, _mark(cell, reasons, name)))
    named = element("b", first.text), _mark(first, reasons, name)
    return element("th", *named, *(element("span", line) for line in lines), scope="row")


def _cell(cell: Cell, reasons: dict[str, int], name: str) -> Markup:
    known = cell.number and cell.evidence != NOT_RUN
    parts = (
        element("span", cell.text, class_="v") if known else cell.text,
        _mark(cell, reasons, name),
        element("span", cell.detail, class_="i") if cell.detail else None,
        _evidence(cell.evidence) if cell.evidence else None,
    )
    wide = "t bad" if cell.text == REGRESSION else "t long" if len(cell.text) > LONG else "t"
    return element("td", *parts, class_="n" if cell.number else wide)


def _mark(cell: Cell, reasons: dict[str, int], name: str) -> Markup | None:
    if not cell.reason:
        return None
    place = reasons[cell.reason]
    return element("sup", element("a", str(place), href=f"#{name}-note-{place}"))


def _evidence(word: str) -> Markup:
    return element("span", word, class_=f"e e-{word.replace(' ', '-')}")


def _legend() -> Markup:
    pairs = [
        join(element("dt", _evidence(word)), element("dd", meaning))
        for word, meaning in EVIDENCE.items()
    ]
    return element(
        "section",
        element("h2", "Evidence"),
        element("p", "Every figure says where it comes from.", class_="caption"),
        element("dl", *pairs, class_="legend"),
        id="evidence",
    )
