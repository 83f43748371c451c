"""The goals of speed and size beside what was measured, from the results of the other commands.

    python benchmarks/goals.py [--results benchmarks/results]

Measures nothing: reads what the other commands wrote, and prints the table that README shows, the
commands that measure it again, and where that was. A goal whose results are not there is ``not
run``.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import build_time
import commands
import numpy as np
import roofline
from figures import as_text

from ondevice import console
from ondevice.errors import UserError
from ondevice.targets import TARGETS

RESULTS = Path(__file__).parent / "results"
HEADERS = ("what", "goal", "seen", "met", "from")
DATA, MOST_BYTES, LEAST_KEPT = "squadshifts-dev.json", 10_000_000, 98.0
CANDIDATES = 30
MODEL, LARGER, STUDENT, LENGTH = "distilbert", "bert-base", "student", 384
TRAFFIC = (
    "traffic.py --data squadshifts-dev.json --questions 200"
    " --choose-from squadshifts-train-wiki.json"
)
# What writes each result.
COMMANDS = {
    "versus_stock": "versus_stock.py",
    "roofline": "roofline.py",
    "traffic": TRAFFIC,
    "traffic_12": f"{TRAFFIC} --buckets 12 --targets tflite,executorch"
    " --out benchmarks/results/traffic_12.json",
    "evidence": "evidence.py --examples 100",
    "schemes": f"schemes.py --data {DATA}",
    "search": f"search_time.py --data {DATA}",
    "build_time": "build_time.py --rounds 1 --schemes fp32,fp16,int8 --only alone,all",
    "build_time_all": "build_time.py --rounds 3 --only all"
    " --out benchmarks/results/build_time_all.json",
    "full_scale": "full_scale.py",
}
# What `--add` keeps, with the time of its own measurement.
PARTS = ("groups", "rows", "runs", "bundles")
# The best runtime of the host is asked for, not each.
SHARE_SCHEME = "fp32"
MOST_PARTS = 3
ABSENT = "–"
DELEGATED = re.compile(r"([\d.]+) % of multiplications.* in (\d+) part")


@dataclass(frozen=True)
class Seen:
    """What was measured: as text, and as the number that the goal is held against."""

    value: float
    text: str


@dataclass(frozen=True)
class Goal:
    """A limit, and where the figure comes from.

    Attributes:
        at_most: whether the figure must not be above the limit; else it must not be below.
        find: gets the figure out of a document; None if it is not in there.
    """

    what: str
    limit: float
    file: str
    find: Callable[[Mapping[str, Any]], Seen | None]
    at_most: bool = True
    unit: str = ""

    @property
    def text(self) -> str:
        """The limit in words."""
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}{self.unit}"

    def is_met(self, seen: Seen) -> bool:
        """Tell whether a figure keeps the limit."""
        return seen.value <= self.limit if self.at_most else seen.value >= self.limit


def ratio(found: Iterable[Mapping[str, Any]], of: str, to: str) -> Seen | None:
    """Return the first ratio whose sides match the two patterns."""
    for one in found:
        if re.fullmatch(of, one["of"]) and re.fullmatch(to, one["to"]):
            return Seen(one["value"], as_text(one))
    return None


def versus(target: str, beside: str | None = None) -> Callable[[Mapping[str, Any]], Seen | None]:
    """Find ours over the better stock artifact of a target, or over ours on another."""
    other = f"{target} (?!ours ).*" if beside is None else f"{beside} ours fp32"

    def find(document: Mapping[str, Any]) -> Seen | None:
        for group in document["groups"]:
            if (group["model"], group["length"]) == (MODEL, LENGTH):
                return ratio(group["ratios"], f"{target} ours fp32", other)
        return None

    return find


def smaller(target: str) -> Callable[[Mapping[str, Any]], Seen | None]:
    """Find DistilBERT over BERT-base on one runtime."""

    def find(document: Mapping[str, Any]) -> Seen | None:
        names = [f"{model} {target} ours fp32" for model in (MODEL, LARGER)]
        found = [one for one in document["pairs"] if one["length"] == LENGTH]
        return ratio(found, *names)

    return find


def best_share(document: Mapping[str, Any]) -> Seen | None:
    """Find the best runtime's share of the fastest product of its kind."""
    fastest: dict[str, float] = {}
    for one in document["products"]:
        kind, rate = one["scheme"], one["best_operations_a_second"]
        fastest[kind] = max(fastest.get(kind, 0.0), rate)
    shares = {}
    for one in document["artifacts"]:
        if one["model"] != MODEL:
            continue
        peak = fastest.get(roofline.kind_of(one["target"], one["scheme"]))
        if one["samples"] and peak and (one["length"], one["scheme"]) == (LENGTH, SHARE_SCHEME):
            rate = one["operations"] / (float(np.median(one["samples"])) * 1e-9)
            shares[one["target"]] = rate / peak
    if not shares:
        return None
    target = max(shares, key=lambda name: shares[name])
    return Seen(shares[target], f"{shares[target]:.2f} ({target})")


def traffic(of: str, to: str, count: int) -> Callable[[Mapping[str, Any]], Seen | None]:
    """Find the best ratio of any runtime between runs that match, with so many lengths."""

    def find(document: Mapping[str, Any]) -> Seen | None:
        if len(document["lengths"]) != count:
            return None
        found = [
            one
            for one in document["ratios"]
            if re.fullmatch(of, one["of"]) and re.fullmatch(to, one["to"])
        ]
        if not found:
            return None
        best = min(found, key=lambda one: one["value"])
        runtime = f" ({best['of'].split()[1]})" if len(found) > 1 else ""
        return Seen(best["value"], as_text(best) + runtime)

    return find


def delegated(document: Mapping[str, Any]) -> Seen | None:
    """Find what ExecuTorch delegates in float32, the worst length of it."""
    figures = [
        match
        for one in document["bundles"]
        if (one["target"], one["scheme"]) == ("executorch", "fp32")
        for row in one["checks"]
        if row["check"] == "delegation" and (match := DELEGATED.search(row["figure"]))
    ]
    if not figures:
        return None
    worst = min(figures, key=lambda match: float(match[1]))
    parts = max(int(match[2]) for match in figures)
    # Both limits in one number: whatever the share, too many parts miss the goal.
    value = float(worst[1]) if parts <= MOST_PARTS else 0.0
    return Seen(value, f"{worst[1]} %, {parts}")


def all_targets(document: Mapping[str, Any]) -> Seen | None:
    """Find the seconds of ``--target all``, cold: the median of its rounds."""
    if document["model"] != STUDENT:
        return None
    for row in document["rows"]:
        if row["target"] == "all" and row["cold"]:
            rounds = [one["seconds"] for one in row["cold"]]
            seconds = float(np.median(rounds))
            many = "1 round" if len(rounds) == 1 else f"median of {len(rounds)}"
            return Seen(seconds, f"{seconds:.0f} s ({many})")
    return None


def memory(document: Mapping[str, Any]) -> Seen | None:
    """Find the greatest memory of any build of the student, over what a build may need."""
    if document["model"] != STUDENT:
        return None
    builds = [
        (one["peak_bytes"], row["target"], row["scheme"] or "default")
        for row in document["rows"]
        for one in row["cold"]
    ]
    if not builds or not document["limit_bytes"]:
        return None
    peak, target, scheme = max(builds)
    share = peak / document["limit_bytes"]
    return Seen(share, f"{share:.2f} ({peak / 1e6:.0f} MB: {target} {scheme})")


def large_memory(model: str) -> Callable[[Mapping[str, Any]], Seen | None]:
    """Find the same of a model of full size."""

    def find(document: Mapping[str, Any]) -> Seen | None:
        builds = [
            (one["peak_mb"] * 1e6, one["target"], one["scheme"], one["params"])
            for one in document["builds"]
            # Results of before parameters were written down are of another graph, too.
            if one["model"] == model and "params" in one
        ]
        if not builds:
            return None
        peak, target, scheme, params = max(builds)
        share = peak / build_time.limit_bytes(params)
        return Seen(share, f"{share:.2f} ({peak / 1e6:.0f} MB: {target} {scheme})")

    return find


def student_rows(document: Mapping[str, Any], *schemes: str) -> list[Mapping[str, Any]] | None:
    """Return the rows of some schemes on every target that has them, of the student.

    None where one was not measured, on the goal's questions; one that was not published or failed
    has no figures.
    """
    if (document["model"], document["data"]["name"]) != (STUDENT, DATA):
        return None
    found = {(one["target"], one["scheme"]): one for one in document["rows"]}
    wanted = [
        (name, scheme)
        for name, target in TARGETS.items()
        for scheme in target.schemes
        if scheme in schemes
    ]
    return [found[one] for one in wanted] if set(wanted) <= set(found) else None


def worst_drop(*schemes: str) -> Callable[[Mapping[str, Any]], Seen | None]:
    """Find the most points of F1 that one of some schemes loses on any target."""

    def find(document: Mapping[str, Any]) -> Seen | None:
        rows = student_rows(document, *schemes)
        if not rows:
            return None
        absent = [f"{one['target']} {one['scheme']}" for one in rows if not one["figures"]]
        if absent:
            return Seen(math.inf, f"no figure of {', '.join(absent)}")
        worst = max(rows, key=lambda one: one["figures"]["drop"]["value"])
        drop, name = worst["figures"]["drop"], f"{worst['target']} {worst['scheme']}"
        text = f"{drop['value']:+.2f} [{drop['low']:+.2f}, {drop['high']:+.2f}] ({name})"
        return Seen(drop["value"], f"{text}, {worst['figures']['flips']['value']:.1f} % flips")

    return find


def small_enough(document: Mapping[str, Any]) -> Seen | None:
    """Find on how many targets a scheme is small and keeps enough."""
    rows = student_rows(document, *(name for one in TARGETS.values() for name in one.schemes))
    if rows is None:
        return None
    best: dict[str, Mapping[str, Any]] = {}
    for one in rows:
        share = one["figures"] and one["figures"]["kept"]
        if share and one["bytes"] <= MOST_BYTES and share["value"] >= LEAST_KEPT:
            best[one["target"]] = max(
                best.get(one["target"], share), share, key=lambda each: each["value"]
            )
    text = f"{len(best)} of {len(TARGETS)}"
    if best:
        least = min(best, key=lambda name: best[name]["value"])
        value, low, high = (f"{best[least][name]:.1f}" for name in ("value", "low", "high"))
        text += f", {value} [{low}, {high}] % or more ({least})"
    return Seen(len(best), text)


def search_minutes(document: Mapping[str, Any]) -> Seen | None:
    """Find how long a search of the student took, of so many candidates at least."""
    models = [one["name"] for one in document["search"]["models"]]
    whole = document["search"]["data"]["name"] == DATA and "--questions" not in document["command"]
    if document["candidates"] < CANDIDATES or models != [STUDENT] or not whole:
        return None
    minutes = document["seconds"] / 60
    many = f"{document['candidates']} candidates, {document['built']} built"
    return Seen(minutes, f"{minutes:.1f} min ({many})")


TITLES = {"tflite": "TFLite", "executorch": "ExecuTorch", "onnx": "ONNX Runtime"}
OURS, FIXED = r"\S+ \S+ ours", rf"\S+ \S+ ours \S+ {LENGTH}"
BUCKETS = rf"[\d/]+/{LENGTH}"
FP32 = f"{OURS} fp32 {BUCKETS}"
STOCK = rf"\S+ \S+ (?!ours ).* {LENGTH}"
GOALS = (
    Goal("TFLite, ours / stock", 0.70, "versus_stock", versus("tflite")),
    Goal("ExecuTorch, ours / stock", 0.60, "versus_stock", versus("executorch")),
    Goal("ExecuTorch / TFLite, ours", 1.05, "versus_stock", versus("executorch", "tflite")),
    Goal("ONNX Runtime, ours / best stock", 0.95, "versus_stock", versus("onnx")),
    *(
        Goal(f"DistilBERT / BERT-base, {title}", 0.54, "versus_stock", smaller(target))
        for target, title in TITLES.items()
    ),
    Goal("share of the fastest product", 0.90, "roofline", best_share, at_most=False),
    *(
        Goal(f"{count} lengths / fixed 384", 0.45, file, traffic(FP32, FIXED, count))
        for count, file in ((4, "traffic"), (12, "traffic_12"))
    ),
    *(
        Goal(
            f"student int8, {count} lengths / stock teacher, {TITLES[target]}",
            0.12,
            file,
            traffic(rf"\S+ {target} ours int8 {BUCKETS}", STOCK, count),
        )
        for count, file, targets in (
            (4, "traffic", ("executorch", "tflite", "onnx")),
            (12, "traffic_12", ("executorch", "tflite")),
        )
        for target in targets
    ),
    Goal(
        "ExecuTorch: multiplications delegated, parts",
        99,
        "evidence",
        delegated,
        at_most=False,
        unit=f" %, ≤ {MOST_PARTS}",
    ),
    Goal("student int8: most points of F1 lost", 0.5, "schemes", worst_drop("int8", "int8-weight")),
    Goal("student int4, pal4: the same", 1.5, "schemes", worst_drop("int4", "pal4")),
    Goal(
        f"targets with ≤ 10 MB at ≥ {LEAST_KEPT:g} % of fp32's F1",
        len(TARGETS),
        "schemes",
        small_enough,
        at_most=False,
    ),
    Goal(f"search of {CANDIDATES} candidates, cold", 20, "search", search_minutes, unit=" min"),
    Goal("--target all, student, cold", 60, "build_time_all", all_targets, unit=" s"),
    Goal("memory / (4 × weights + 1 GiB), student", 1, "build_time", memory),
    Goal("memory / …, DistilBERT", 1, "full_scale", large_memory(MODEL)),
    Goal("memory / …, BERT-base", 1, "full_scale", large_memory(LARGER)),
)


def row_of(goal: Goal, documents: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a goal's row of the table.

    Raises:
        UserError: a result is no JSON object, or not of its command.
    """
    document = documents.get(goal.file)
    try:
        seen = None if document is None else goal.find(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{goal.file}.json is not what {COMMANDS[goal.file]} writes: {error!r}"
        ) from error
    if seen is None:
        return goal.what, goal.text, "not run", ABSENT, goal.file
    return goal.what, goal.text, seen.text, "yes" if goal.is_met(seen) else "no", goal.file


def describe(document: Mapping[str, Any]) -> str:
    """Say where a result was measured, and when: parts of it may be of an earlier call."""
    found = document.get("machine")
    if not isinstance(found, Mapping):
        return "somewhere"
    parts = [one for name in PARTS for one in document.get(name, ()) if "measured" in one]
    days = sorted(str(one["measured"])[:10] for one in (found, *parts) if one.get("measured"))
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "some day"
    return f"{found.get('cpu')}, {found.get('cores')} cores, {when}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if not arguments.results.is_dir():
        raise UserError(f"no directory '{arguments.results}'; type --results DIR")
    paths = {name: arguments.results / f"{name}.json" for name in COMMANDS}
    documents = {name: commands.read(path) for name, path in paths.items() if path.is_file()}
    rows = [row_of(goal, documents) for goal in GOALS]
    print(f"{console.table(HEADERS, rows)}\n")
    for name in dict.fromkeys(source for *_, met, source in rows if met != ABSENT):
        print(f"{name}: python benchmarks/{COMMANDS[name]} ({describe(documents[name])})")
    return 0


if __name__ == "__main__":
    sys.exit(commands.run(main))
