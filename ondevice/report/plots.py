"""The pictures of one device: latency, speed-up, F1 against latency and size, real questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ondevice.report import drawing, scenes, wording
from ondevice.report.cells import decimals_for, number
from ondevice.report.drawing import INK, MUTED, PAPER, SERIES, Plot
from ondevice.report.rows import MB, Asked, Device, Row
from ondevice.report.scenes import Scene
from ondevice.report.speedup import Teachers, references, speed_up, why_apart
from ondevice.statistics import Interval

# Of a line's name, in shares of the axis.
NAME_HEIGHT = 0.06


def draw(device: Device, key: str, teachers: Teachers) -> list[Plot]:
    """Return the plots that a device has figures for.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    kind = wording.timed_kind(device)
    rows = device.sorted_rows()
    # A teacher has the first colour, whatever the models are called.
    heads = set(teachers.values())
    models = sorted(
        dict.fromkeys(row.key.model for row in rows), key=lambda name: (name not in heads, name)
    )
    colours = {model: SERIES[place % len(SERIES)] for place, model in enumerate(models)}
    length = wording.main_length(device, kind)
    labels = wording.names(device)
    scene = Scene(key, device, teachers, kind, length, rows, colours, labels)
    parts: tuple[Callable[[Scene], Plot | None], ...] = (
        _latency,
        _speed_up,
        _pareto_latency,
        _pareto_size,
        _lengths,
        _traffic,
    )
    return [plot for part in parts if (plot := part(scene)) is not None]


def _latency(scene: Scene) -> Plot | None:
    """Draw how the times of each row are spread, from zero."""
    timed = [(row, scenes.timings(scene, row)) for row in scene.rows]
    known = sorted(
        ((row, one) for row, one in timed if one is not None), key=lambda pair: pair[1].value()
    )[: scenes.MAX_ROWS]
    if not known:
        return None
    with drawing.drawing(0.85 + scenes.ROW_INCHES * len(known)) as (figure, axes):
        decimals = decimals_for(one.value() for _, one in known)
        for place, (row, one) in enumerate(known):
            colour, median = scene.colours[row.key.model], one.value()
            axes.barh(place, median, height=0.62, color=colour, alpha=0.16, linewidth=0)
            if not one.no_samples:
                scenes.spread(axes, place, one.pooled(), colour)
            axes.plot([median] * 2, [place - 0.31, place + 0.31], color=colour, linewidth=2)
        highest = max(scenes.top(one) for _, one in known)
        for place, (_, one) in enumerate(known):
            text = number(one.value(), decimals)
            axes.text(scenes.top(one) + 0.02 * highest, place, text, va="center", color=INK)
        axes.set_xlim(0, highest * 1.14)
        scenes.row_labels(scene, axes, [row for row, _ in known])
        axes.set_xlabel(scene.what)
        scenes.legend(scene, figure, [row for row, _ in known])
        alt = f"Median latency at {scene.length} tokens: " + "; ".join(
            f"{scene.labels[id(row)]} {number(one.value(), decimals)} ms" for row, one in known
        )
        title = f"Latency at {scene.length} tokens"
        return drawing.finish(f"{scene.key}-latency", title, alt, figure)


def _speed_up(scene: Scene) -> Plot | None:
    """Draw speed-up against the teacher with intervals: on the same runtime if it ran there."""
    if scene.length is None:
        return None
    refs = {id(row): references(scene.device, row, scene.teachers) for row in scene.rows}
    same = any(one.same_runtime for one in refs.values())
    found: list[tuple[Row, float, Interval | None]] = []
    apart: dict[int, str] = {}
    for row in scene.rows:
        reference = refs[id(row)].same_runtime if same else refs[id(row)].torch
        if reference is not None:
            apart[id(row)] = why_apart(row, reference)
        gain = speed_up(row, reference, scene.kind, scene.length)
        if isinstance(gain, Interval):
            found.append((row, gain.value, gain))
        elif gain is not None:
            found.append((row, gain, None))
    found = sorted(found, key=lambda one: -one[1])[: scenes.MAX_ROWS]
    if not found:
        return None
    against = "on the same runtime" if same else "in PyTorch"
    title = f"Speed-up against the teacher {against}"
    with drawing.drawing(0.85 + scenes.ROW_INCHES * len(found)) as (figure, axes):
        for place, (row, gain, known) in enumerate(found):
            colour = scene.colours[row.key.model]
            if known is not None:
                ends = [known.low, known.high]
                axes.plot(ends, [place] * 2, color=colour, linewidth=3, alpha=0.45)
            # Hollow: how far it may be off is not known.
            face = PAPER if known is None else colour
            axes.plot(gain, place, "o", color=colour, markerfacecolor=face, markersize=5)
        reach = [gain if known is None else known.high for _, gain, known in found]
        right = max(reach)
        for place, ((_, gain, _), end) in enumerate(zip(found, reach, strict=True)):
            axes.text(end + 0.03 * right, place, f"{gain:.2f} ×", va="center")
        axes.axvline(1, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0.0, max(right, 1.0) * 1.2)
        scenes.row_labels(scene, axes, [row for row, _, _ in found])
        hollow = "; hollow: no interval" if any(known is None for _, _, known in found) else ""
        axes.set_xlabel(f"times as fast at {scene.length} tokens, 95 % interval{hollow}")
        scenes.legend(scene, figure, [row for row, _, _ in found])
        alt = f"{title} at {scene.length} tokens: " + "; ".join(
            f"{scene.labels[id(row)]} {gain:.2f} times"
            + (
                f" ({known.low:.2f} to {known.high:.2f})"
                if known
                else f" ({apart[id(row)] or 'interval not known'})"
            )
            for row, gain, known in found
        )
        return drawing.finish(f"{scene.key}-speedup", title, alt, figure)


def _pareto_latency(scene: Scene) -> Plot | None:
    def cost(row: Row) -> float | None:
        timings = scenes.timings(scene, row)
        return None if timings is None else timings.value()

    return _pareto(scene, "pareto-latency", "F1 against latency", scene.what, cost)


def _pareto_size(scene: Scene) -> Plot | None:
    def cost(row: Row) -> float | None:
        return None if row.artifact.bytes is None else row.artifact.bytes / MB

    return _pareto(scene, "pareto-size", "F1 against size", "MB", cost)


def _pareto(
    scene: Scene, key: str, title: str, unit: str, cost: Callable[[Row], float | None]
) -> Plot | None:
    """Draw F1 over a cost, and the line of those that nothing beats in both."""
    scored = scenes.on_the_same_questions(scene.rows)
    points = [
        (spent, row.score.value, row)
        for row in scored
        if row.score is not None and row.score.value is not None and (spent := cost(row))
    ]
    if len(points) < 2:
        return None
    points.sort(key=lambda point: (point[0], -point[1]))
    best = [
        point
        for place, point in enumerate(points)
        if all(point[1] > other[1] for other in points[:place])
    ]
    targets = list(dict.fromkeys(row.key.target for row in scene.rows))
    with drawing.drawing(3.5) as (figure, axes):
        steps_x = [spent for spent, _, _ in best]
        steps_y = [f1 for _, f1, _ in best]
        axes.step(
            [*steps_x, points[-1][0]],
            [*steps_y, steps_y[-1]],
            where="post",
            color=MUTED,
            linewidth=1,
            linestyle=(0, (4, 3)),
            zorder=1,
        )
        for spent, f1, row in points:
            assert row.score is not None
            interval = row.score.f1_interval
            colour = scene.colours[row.key.model]
            if interval is not None:
                ends = [interval.low, interval.high]
                axes.plot([spent] * 2, ends, color=colour, linewidth=1, alpha=0.3, zorder=2)
            marker = scenes.MARKERS[targets.index(row.key.target) % len(scenes.MARKERS)]
            style = {"markeredgecolor": PAPER, "markeredgewidth": 0.8, "zorder": 3}
            axes.plot(spent, f1, marker, color=colour, markersize=7.5, **style)
        # Size hardly depends on the target, so that its points lie on each other.
        names = [row.key.scheme if unit == "MB" else row.name for _, _, row in best]
        axes.set_xlim(0, max(spent for spent, _, _ in points) * 1.12)
        scenes.name_points(axes, zip(steps_x, steps_y, names, strict=True))
        axes.set_xlabel(unit)
        axes.set_ylabel("F1")
        scenes.legend(scene, figure, [row for _, _, row in points], targets)
        alt = f"{title}: " + "; ".join(
            f"{scene.labels[id(row)]} F1 {f1:.1f} at {number(spent, decimals_for([spent]))} {unit}"
            for spent, f1, row in points
        )
        return drawing.finish(f"{scene.key}-{key}", title, alt, figure)


def _lengths(scene: Scene) -> Plot | None:
    """Draw latency over length; the fastest row of each model is named."""
    # Figures without a median have no place here.
    timed = {
        id(row): [
            length
            for length in row.lengths(scene.kind)
            if not np.isnan(row.times[scene.kind, length].value())
        ]
        for row in scene.rows
    }
    known = [row for row in scene.rows if len(timed[id(row)]) > 1]
    if not known:
        return None
    with drawing.drawing(3.2) as (figure, axes):
        ends: dict[str, tuple[float, int, Row]] = {}
        for row in known[: scenes.MAX_ROWS]:
            lengths = timed[id(row)]
            values = [row.times[scene.kind, length].value() for length in lengths]
            colour = scene.colours[row.key.model]
            axes.plot(lengths, values, "o-", color=colour, linewidth=1.2, markersize=3, alpha=0.55)
            end = (values[-1], lengths[-1], row)
            if row.key.model not in ends or values[-1] < ends[row.key.model][0]:
                ends[row.key.model] = end
        axes.set_ylim(bottom=0)
        places = apart([end[0] for end in ends.values()], NAME_HEIGHT * axes.get_ylim()[1])
        for place, (_, length, row) in zip(places, ends.values(), strict=True):
            axes.annotate(
                row.name,
                (length, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=scene.colours[row.key.model],
            )
        lengths = sorted({length for row in known for length in timed[id(row)]})
        axes.set_xticks(lengths)
        axes.set_xlim(0, lengths[-1] * 1.3)
        axes.set_xlabel("tokens")
        axes.set_ylabel("ms, median")
        scenes.legend(scene, figure, known)
        alt = "Median latency over length; at the longest, the fastest of each model: " + "; ".join(
            f"{scene.labels[id(row)]} {number(value, decimals_for([value]))} ms at {length} tokens"
            for value, length, row in ends.values()
        )
        return drawing.finish(f"{scene.key}-lengths", "Latency over length", alt, figure)


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Return where the names of values stand, in their order: upwards of one that is too near."""
    places: dict[int, float] = {}
    lowest = -math.inf
    for which in sorted(range(len(values)), key=values.__getitem__):
        lowest = places[which] = max(values[which], lowest + gap)
    return [places[which] for which in range(len(values))]


def _traffic(scene: Scene) -> Plot | None:
    """Draw how many questions were answered within a time, for the fastest row of each model."""
    fastest: dict[str, tuple[float, Asked, Row]] = {}
    for row in scene.rows:
        for data, policy in sorted(row.traffic):
            timings = row.traffic[data, policy].timings
            if policy == "shortest_bucket" and timings.runs:
                found = (timings.value(), data, row)
                fastest[row.key.model] = min(
                    fastest.get(row.key.model, found), found, key=lambda one: one[0]
                )
    if not fastest:
        return None
    with drawing.drawing(3.2) as (figure, axes):
        told = []
        for _, data, row in fastest.values():
            for policy, style in (("shortest_bucket", "-"), ("longest", (0, (4, 3)))):
                traffic = row.traffic.get((data, policy))
                if traffic is None or not traffic.timings.runs:
                    continue
                times = traffic.timings.pooled()
                share = 100.0 * np.arange(1, len(times) + 1) / len(times)
                colour = scene.colours[row.key.model]
                axes.step(times, share, where="post", color=colour, linestyle=style, linewidth=1.6)
                told.append(
                    f"{scene.labels[id(row)]}, {policy.replace('_', ' ')}:"
                    f" median {number(traffic.timings.value(), 1)} ms"
                )
        axes.set_xlim(left=0)
        axes.set_ylim(0, 102)
        axes.set_xlabel("ms, text to answer (dashed: always the longest bucket)")
        axes.set_ylabel("questions answered, %")
        scenes.legend(scene, figure, [row for _, _, row in fastest.values()])
        alt = "Share of real questions answered within a time: " + "; ".join(told)
        return drawing.finish(f"{scene.key}-traffic", "Real questions", alt, figure)
