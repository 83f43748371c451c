"""How plots look, and how one drawing becomes PNG, light and dark SVG, and SVG in a page.

Every colour of a drawing is a role. matplotlib draws with the light ones; since each is a
different string, replacing them in the SVG gives the dark variant, and one that follows the page.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondevice.errors import require
from ondevice.report.html import Markup, element

# role: (light, dark). The series colours keep 4.5:1 against both grounds, and differ for people
# who do not tell red from green; markers differ too.
COLOURS = {
    "paper": ("#ffffff", "#15181d"),
    "ink": ("#1c2127", "#e7eaef"),
    "muted": ("#5c6571", "#9ba5b3"),
    "grid": ("#e2e5e9", "#2f353d"),
    "series-0": ("#55607a", "#aab6d0"),
    "series-1": ("#0a66c2", "#62adff"),
    "series-2": ("#b8430a", "#ff9c66"),
    "series-3": ("#0b736b", "#3ec9b6"),
    "series-4": ("#7536dd", "#b99dff"),
    "series-5": ("#8a5a00", "#e5b84e"),
}
SERIES = tuple(light for role, (light, _) in COLOURS.items() if role.startswith("series"))
PAPER, INK, MUTED, GRID = (COLOURS[role][0] for role in ("paper", "ink", "muted", "grid"))
# Inches. At 346 points a plot is legible on a phone, where it is shown at about its own size.
WIDTH = 4.8
DOTS = 200  # an inch, in PNG

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.2,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 9.2,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 9.2,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "ondevice",
    # Names in results may hold dollar signs; they are not formulas.
    "text.parse_math": False,
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 9.2,
    "ytick.color": GRID,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9.2,
}
FONTS = "font-family: system-ui, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Plot:
    """A drawing in all its forms; `alt` says in words what it shows."""

    key: str
    title: str
    alt: str
    png: bytes
    svg: str

    def write(self, directory: Path) -> list[str]:
        """Write PNG, SVG and dark SVG into a directory; return their names."""
        names = [f"{self.key}.png", f"{self.key}.svg", f"{self.key}-dark.svg"]
        (directory / names[0]).write_bytes(self.png)
        (directory / names[1]).write_text(self.svg, encoding="utf-8")
        (directory / names[2]).write_text(dark(self.svg), encoding="utf-8")
        return names


@contextlib.contextmanager
def drawing(height: float, *, width: float = WIDTH) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its axes in the report's style; sizes in inches.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="report")
    figures = require("matplotlib.figure", extra="report")
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes in PNG, and right in SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def finish(key: str, title: str, alt: str, figure: Any) -> Plot:
    """Return a figure as a plot; the same figure gives the same bytes."""
    # Once is enough: the layout would be computed twice for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=DOTS, metadata={"Software": None})
    unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(svg, format="svg", metadata=unsaid)
    return Plot(key, title, alt, png.getvalue(), _plain(svg.getvalue(), alt))


def dark(svg: str) -> str:
    """Return an SVG in the colours for a dark ground."""
    return _in_tags(svg, dict(COLOURS.values()))


def inline(plot: Plot) -> Markup:
    """Return an SVG for a page: colours are the page's variables, identifiers the plot's own."""
    names = {light: f"var(--{role})" for role, (light, _) in COLOURS.items()}
    # Two plots in one page must not share identifiers.
    names |= {f"{before}#": f"{before}#{plot.key}-" for before in ("url(", 'href="')}
    names[' id="'] = f' id="{plot.key}-'
    svg = _in_tags(_in_tags(plot.svg, {"xlink:href": "href"}), names)
    # In a page SVG needs no namespaces, and a style in it would be everyone's.
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    return Markup(re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL))


def _plain(svg: str, alt: str) -> str:
    """Return matplotlib's SVG without its preamble, in the reader's font, named for readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace("font-family: 'DejaVu Sans'", FONTS)
    start = svg.index(">") + 1
    title = element("title", alt)
    return f'{svg[: start - 1]} role="img">\n {title}{svg[start:]}'


def _in_tags(svg: str, replacements: dict[str, str]) -> str:
    """Replace inside tags only: the text between them is the results' own."""
    pattern = re.compile("|".join(map(re.escape, replacements)))
    return re.sub(
        r"<[^>]*>",
        lambda tag: pattern.sub(lambda found: replacements[found.group()], tag.group()),
        svg,
    )
