"""What the plots of one device share: its rows, colours and names, and how these are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ondevice.report.drawing import GRID, INK, MUTED
from ondevice.report.rows import Device, Row
from ondevice.report.speedup import Teachers
from ondevice.report.timings import Timings
from ondevice.statistics import Array

# More rows than this make a plot longer than a screen; the table has them all.
MAX_ROWS = 30
MAX_DOTS = 200
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
ROW_INCHES = 0.25
LABEL = 34  # characters of a row's label
# Of the names of points: their height, and how far they stand above their points.
NAME_POINTS = 9.5
NAME_OFFSET = 5.0


@dataclass(frozen=True)
class Scene:
    """A device as its plots see it: what is timed, at which length, in which colours.

    Attributes:
        key: begins the names of the plots' files.
        kind: what was timed; at `length` tokens, None where nothing was.
        colours: by model.
        labels: what to call a row, by its ``id``.
    """

    key: str
    device: Device
    teachers: Teachers
    kind: str
    length: int | None
    rows: list[Row]
    colours: dict[str, str]
    labels: dict[int, str]

    @property
    def what(self) -> str:
        """What was timed, for an axis."""
        words = "model only" if self.kind == "model_only" else "text to answer"
        return f"ms at {self.length} tokens, {words}"


def timings(scene: Scene, row: Row) -> Timings | None:
    """Return what a row took at the plots' length, if that is known."""
    found = None if scene.length is None else row.time(scene.kind, scene.length)
    return None if found is None or np.isnan(found.value()) else found


def top(times: Timings) -> float:
    """Return how far a row's drawing reaches."""
    if times.no_samples:
        return times.value()
    return max(times.value(), float(np.quantile(times.pooled(), 0.99)))


def spread(axes: Any, place: int, times: Array, colour: str) -> None:
    """Draw p5 to p95 as a line and the samples as dots."""
    low, high = np.quantile(times, (0.05, 0.95))
    axes.plot([low, high], [place] * 2, color=colour, linewidth=1.4)
    shown = times[:: max(len(times) // MAX_DOTS, 1)]
    # Golden-ratio offsets scatter the dots without chance.
    offsets = (np.arange(len(shown)) * 0.618034) % 1.0 * 0.4 - 0.2
    inside = shown <= np.quantile(times, 0.99)
    axes.plot(
        shown[inside],
        (place + offsets)[inside],
        linestyle="none",
        marker="o",
        markersize=1.6,
        color=colour,
        alpha=0.35,
        markeredgewidth=0,
    )


def row_labels(scene: Scene, axes: Any, rows: list[Row]) -> None:
    """Name the rows at the left, the first on top; models are told by colour."""
    several = len(scene.colours) > 1
    texts = []
    for row in rows:
        text = scene.labels[id(row)]
        text = text.removeprefix(row.key.model).strip() if several else text
        texts.append(text if len(text) <= LABEL else f"{text[: LABEL - 1]}…")
    axes.set_yticks(range(len(rows)), labels=texts)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)


def name_points(axes: Any, points: Iterable[tuple[float, float, str]]) -> None:
    """Write names beside points (x, y, name) of axes whose limits are set.

    Above and to the left of the best there are no other points; a name that another one's place
    would cover goes higher, and one that would cross the axis stands to the right.
    """
    axes.autoscale_view()
    point = 72.0 / axes.figure.dpi
    left = axes.transAxes.transform((0.0, 0.0))[0] * point
    lowest = -math.inf
    placed = [(axes.transData.transform((x, y)) * point, (x, y), name) for x, y, name in points]
    for (across, up), at, name in sorted(placed, key=lambda one: one[0][1]):
        lowest = max(up + NAME_OFFSET, lowest + NAME_POINTS)
        fits = across - left > NAME_POINTS * 0.6 * len(name)
        axes.annotate(
            name,
            at,
            xytext=(-6 if fits else 6, lowest - up),
            textcoords="offset points",
            ha="right" if fits else "left",
            color=INK,
            fontsize=8.8,
        )


def on_the_same_questions(rows: list[Row]) -> list[Row]:
    """Return the rows that answered what most of them answered: other scores do not compare."""
    groups: dict[tuple[str, bytes], list[Row]] = {}
    for row in rows:
        if row.score is not None:
            groups.setdefault((row.score.data_sha256, row.score.ids), []).append(row)
    return max(groups.values(), key=len) if groups else []


def legend(scene: Scene, figure: Any, rows: list[Row], targets: list[str] | None = None) -> None:
    """Name the colours, and the markers where they say something, above the plot."""
    from matplotlib.lines import Line2D

    shown = {row.key.model for row in rows}
    handles = [
        Line2D([], [], marker="s", linestyle="none", color=colour, label=model)
        for model, colour in scene.colours.items()
        if model in shown
    ]
    used = {row.key.target for row in rows}
    for place, target in enumerate(targets or ()):
        if target in used and len(used) > 1:
            marker = MARKERS[place % len(MARKERS)]
            style: dict[str, Any] = {"markerfacecolor": GRID, "markeredgecolor": MUTED}
            handles.append(Line2D([], [], marker=marker, linestyle="none", label=target, **style))
    columns = min(len(handles), 3)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handletextpad=0.2)
