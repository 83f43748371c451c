"""A run's scores as a person reads them; `--json` has the same as a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ondevice import console

# What stands beside a checkpoint's metrics without being one.
_COUNTS = frozenset({"examples", "steps", "seconds"})
_HEADLINE = "_interval"
_ABBREVIATIONS = {"em": "EM", "f1": "F1"}


def compared(result: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of checkpoints, each with its metrics and what it has of the first's.

    Args:
        result: each checkpoint's metrics, with `METRIC_interval` for the headline's, and where it
            is compared with another `retention` (percent) and `difference` (points).
    """
    first = next(iter(result.values()))
    intervals = (name for name in first if name.endswith(_HEADLINE))
    headline = next(intervals, "").removesuffix(_HEADLINE)
    metrics = [name for name, value in first.items() if _is_metric(name, value)]
    beside = [
        name for name in ("retention", "difference") if any(name in row for row in result.values())
    ]
    headers = ["checkpoint", *(_ABBREVIATIONS.get(name, name) for name in metrics), *beside]
    rows = []
    for label, scores in result.items():
        cells = [_number(scores[name], ".1f") for name in metrics]
        if headline in metrics:
            cells[metrics.index(headline)] += _range(scores[headline + _HEADLINE])
        if "retention" in beside:
            cells.append(_spread(scores.get("retention"), ".1f", " %"))
        if "difference" in beside:
            cells.append(_spread(scores.get("difference"), "+.1f", ""))
        rows.append([label, *cells])
    return f"{console.table(headers, rows)}\n{first['examples']} examples; [95 % intervals]"


def of_run(label: str, result: Mapping[str, Any], published_as: str = "") -> str:
    """Return a table of what a run's `scores.json` has: teacher, result, and its other forms.

    Args:
        label: of the run's own weights.
        result: what it has.
        published_as: label of the weights as they were published, where those were scored.
    """
    rows: dict[str, Mapping[str, Any]] = {}
    if "teacher" in result:
        rows["teacher"] = result["teacher"]
    rows[label] = result
    if rounded := result.get("quantized"):
        # Its difference is to the floats, not to the first row.
        figures = {name: value for name, value in rounded.items() if name != "difference"}
        lost = _spread(rounded.get("difference"), "+.1f", "")
        rows[f"{label}, weights in {rounded['scheme']} ({lost} against floats)"] = figures
    if published := result.get("published"):
        name = published_as or f"{label}, as published"
        rows[f"{name}{_other_data(published, result)}"] = published
    return compared(rows) + _effort(result)


def of_losses(label: str, result: Mapping[str, Any]) -> str:
    """Return what a run without scores has: its last losses."""
    losses = {name: value for name, value in result.items() if isinstance(value, float)}
    for name in ("seconds", "grad_norm", "learning_rate"):
        losses.pop(name, None)
    headers = ["checkpoint", *losses]
    row = [label, *(f"{value:.4g}" for value in losses.values())]
    return console.table(headers, [row]) + _effort(result)


def _is_metric(name: str, value: object) -> bool:
    # JSON has null for a metric that cannot be computed.
    return (value is None or isinstance(value, int | float)) and name not in _COUNTS


def _other_data(published: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Name the data of a published checkpoint's score where it is not the run's."""
    asked = published.get("eval"), published["examples"]
    if asked == (run.get("eval"), run["examples"]):
        return ""
    return f", on {asked[1]} examples of {asked[0]}"


def _number(value: float | None, form: str) -> str:
    """Format a number; JSON has null for what cannot be computed (a share of nothing)."""
    return "–" if value is None else f"{value:{form}}"


def _range(spread: Mapping[str, Any], form: str = ".1f") -> str:
    return f" [{_number(spread['low'], form)}, {_number(spread['high'], form)}]"


def _spread(spread: Mapping[str, Any] | None, form: str, unit: str) -> str:
    if spread is None:
        return "–"
    return f"{_number(spread['value'], form)}{unit}{_range(spread, form)}"


def _effort(result: Mapping[str, Any]) -> str:
    if "steps" not in result:
        return ""
    return f"\n{result['steps']} steps, {result['seconds'] / 60:.1f} minutes"
