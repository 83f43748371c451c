"""The trade-off as pictures: F1 against size and against time, what was chosen marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondevice.report import drawing
from ondevice.report.drawing import GRID, INK, MUTED, PAPER, SERIES, Plot
from ondevice.report.scenes import MARKERS
from ondevice.search.choice import front
from ondevice.search.contender import Contender, Figures

if TYPE_CHECKING:
    from ondevice.search.pipeline import Found

HEIGHT = 3.6  # inches
# Shares of a picture within which names would lie on each other, and a line of them in points.
NEAR, LINE = 0.2, 11
# How the pictures' files begin.
PREFIX = "pareto-"
RING: dict[str, Any] = {
    "markerfacecolor": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 1.3,
    "linestyle": "none",
}

Cost = Callable[[Contender], float | None]


@dataclass(frozen=True)
class Scene:
    """Candidates that were asked the same questions.

    Attributes:
        shown: those with figures.
        asked: how many questions those that went furthest were asked.
        levels: each checkpoint's F1 on them, by model.
        teacher: the teacher's F1 on them; None without one.
    """

    shown: tuple[Contender, ...]
    asked: int
    levels: dict[str, float]
    teacher: float | None

    @property
    def targets(self) -> list[str]:
        """The targets, in their order."""
        return list(dict.fromkeys(one.candidate.target for one in self.shown))

    def colour(self, model: str) -> str:
        """Return a model's colour; the first is the teacher's."""
        return SERIES[1 + list(self.levels).index(model) % (len(SERIES) - 1)]

    def height(self, one: Contender) -> float:
        """Return an F1 that compares with everyone's.

        That of a candidate that left early is its checkpoint's on all questions, less what it
        lost on those that it was asked.
        """
        return self.levels[one.candidate.model] - _figures(one).drop.value

    def left_early(self, one: Contender) -> bool:
        """Tell whether a candidate was asked fewer questions than others."""
        return len(_figures(one).f1) < self.asked


def draw(found: Found) -> list[Plot]:
    """Return the pictures that there are figures for; targets with the same questions share one.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    groups: dict[int, list[Contender]] = {}
    for target in found.chosen:
        shown = [one for one in found.of_target(target) if one.figures is not None]
        asked = max((len(_figures(one).f1) for one in shown), default=0)
        groups.setdefault(asked, []).extend(shown)
    scenes = [_scene(shown, asked) for asked, shown in groups.items() if shown]
    plots = []
    for scene in scenes:
        ending = "" if len(scenes) == 1 else f"-{'-'.join(scene.targets)}"
        plots += [
            _draw(scene, f"{PREFIX}size{ending}", "F1 against size", "MB", _megabytes),
            _draw(scene, f"{PREFIX}latency{ending}", "F1 against latency", "ms here", _median),
        ]
    return [plot for plot in plots if plot is not None]


def _figures(one: Contender) -> Figures:
    assert one.figures is not None
    return one.figures


def _megabytes(one: Contender) -> float | None:
    return one.megabytes


def _median(one: Contender) -> float | None:
    return None if one.times is None else one.times.median.value


def _scene(shown: Sequence[Contender], asked: int) -> Scene:
    # Those that went furthest come last, and decide the levels.
    ordered = sorted(shown, key=lambda one: len(_figures(one).f1))
    levels = {one.candidate.model: 100.0 * float(_figures(one).own_f1.mean()) for one in ordered}
    teacher = _figures(ordered[-1]).teacher_f1
    known = None if teacher is None else 100.0 * float(teacher.mean())
    return Scene(tuple(shown), asked, levels, known)


def _draw(scene: Scene, key: str, title: str, unit: str, cost: Cost) -> Plot | None:
    """Draw F1 over a cost; None where no cost is known."""
    points = [(spent, one) for one in scene.shown if (spent := cost(one)) is not None]
    if not points:
        return None
    furthest = max(spent for spent, _ in points)
    with drawing.drawing(HEIGHT) as (figure, axes):
        _front(scene, axes, cost, furthest)
        for spent, one in points:
            _point(scene, axes, spent, one)
        right = furthest * 1.14
        _levels(scene, axes, right)
        axes.set_xlim(0, right)
        _names(scene, axes, [(spent, one) for spent, one in points if one.outcome == "chosen"])
        axes.set_xlabel(unit)
        axes.set_ylabel("F1")
        _legend(scene, figure, [one for _, one in points])
        told = "; ".join(
            f"{one.candidate.target} {one.candidate.label} F1 {scene.height(one):.1f}"
            f" at {spent:.1f}" + (", chosen" if one.outcome == "chosen" else "")
            for spent, one in points
        )
        return drawing.finish(key, title, f"{title} ({unit}): {told}", figure)


def _front(scene: Scene, axes: Any, cost: Cost, furthest: float) -> None:
    """Draw the line of those that nothing beats in both."""
    best = front(scene.shown, cost, scene.height)
    xs, ys = [cost(one) for one in best], [scene.height(one) for one in best]
    style: dict[str, Any] = {"color": MUTED, "linewidth": 1, "linestyle": (0, (4, 3))}
    axes.step([*xs, furthest], [*ys, ys[-1]], where="post", zorder=1, **style)


def _levels(scene: Scene, axes: Any, right: float) -> None:
    """Draw a line at the F1 of the teacher and of each checkpoint."""
    named = {
        f"{model}, fp32 in PyTorch": (level, scene.colour(model))
        for model, level in scene.levels.items()
    }
    if scene.teacher is not None:
        named["teacher"] = (scene.teacher, SERIES[0])
    for name, (level, colour) in named.items():
        axes.axhline(level, color=colour, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
        axes.annotate(
            f"{name} {level:.1f}",
            (right, level),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontsize=8.4,
        )


def _point(scene: Scene, axes: Any, spent: float, one: Contender) -> None:
    candidate, drop, height = one.candidate, _figures(one).drop, scene.height(one)
    colour, early = scene.colour(candidate.model), scene.left_early(one)
    # The interval of the drop, which is what one candidate has against another.
    ends = [height + drop.value - drop.high, height + drop.value - drop.low]
    axes.plot([spent] * 2, ends, color=colour, linewidth=1, alpha=0.3, zorder=2)
    axes.plot(
        spent,
        height,
        MARKERS[scene.targets.index(candidate.target) % len(MARKERS)],
        color=PAPER if early else colour,
        markeredgecolor=colour if early else PAPER,
        markeredgewidth=0.8,
        markersize=7,
        zorder=3,
    )
    if one.outcome == "chosen":
        axes.plot(spent, height, marker="o", markersize=13, zorder=4, **RING)


def _names(scene: Scene, axes: Any, chosen: Sequence[tuple[float, Contender]]) -> None:
    """Name what was chosen below its mark; marks near each other have their names in a list."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    near: list[list[tuple[float, float, str]]] = []
    for spent, one in chosen:
        candidate, height = one.candidate, scene.height(one)
        name = f"{candidate.target} {candidate.scheme} {candidate.variant}".strip()
        group = next(
            (
                group
                for group in near
                if abs(group[0][0] - spent) < NEAR * (right - left)
                and abs(group[0][1] - height) < NEAR * (top - bottom)
            ),
            None,
        )
        if group is None:
            near.append(group := [])
        group.append((spent, height, name))
    for group in near:
        place = group[0][0], min(height for _, height, _ in group)
        for line, (_, _, name) in enumerate(sorted(group, key=lambda mark: -mark[1])):
            axes.annotate(
                name,
                place,
                xytext=(0, -15 - LINE * line),
                textcoords="offset points",
                ha="center",
                color=INK,
                fontsize=8.8,
            )


def _legend(scene: Scene, figure: Any, drawn: Sequence[Contender]) -> None:
    """Name colours, markers and marks, as far as they are on the picture."""
    from matplotlib.lines import Line2D

    plain: dict[str, Any] = {
        "linestyle": "none",
        "markerfacecolor": GRID,
        "markeredgecolor": MUTED,
    }
    handles = [
        Line2D([], [], marker="s", linestyle="none", color=scene.colour(model), label=model)
        for model in scene.levels
    ]
    if len(scene.targets) > 1:
        handles += [
            Line2D([], [], marker=MARKERS[place % len(MARKERS)], label=target, **plain)
            for place, target in enumerate(scene.targets)
        ]
    if any(one.outcome == "chosen" for one in drawn):
        handles.append(Line2D([], [], marker="o", markersize=10, label="chosen", **RING))
    if any(scene.left_early(one) for one in drawn):
        hollow = plain | {"markerfacecolor": PAPER}
        handles.append(Line2D([], [], marker="o", label="left early", **hollow))
    columns = min(len(handles), 4)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handletextpad=0.2)
