"""Tokenizing and choosing spans in Swift and Kotlin, as ratios to Python's (Rust) tokenizer.

    python benchmarks/phone_tokenizers.py [--rounds 7] [--model NAME] [--bundle DIR]

10,000 questions one by one, a passage of 100 kB at once, and the choice of spans over two windows
of 384 tokens. In each round all sides are asked in turn, in an order that moves on by one; a ratio
is taken within its round. The table shows the median over the rounds with the least and the
greatest; the first round warms up and is left out. Only the work is timed, by each side's own
clock, not the pipe to its process. With `--bundle` it also says what part of that model's own
time, at its shortest length, tokenizing and choosing take, all of it on this machine.

Prints a table and writes ``benchmarks/results/tokenizers.json``. (Not called tokenizers.py: from
this directory that name would hide the package.)
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pytest

from ondevice import console, goldens, models, samples
from ondevice.golden_records import DecodeRecord
from ondevice.tokenizer import TextTokenizer, read_tokenizer

# The cores are found, built and spoken to as the tests do it.
sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.mobile.cores import CORES, Core

RESULTS = Path(__file__).parent / "results" / "tokenizers.json"
QUESTIONS, PASSAGE_BYTES, REPEAT = 10_000, 100_000, 5
LENGTH, CONTEXT = 384, 370
WORK = ("questions", "passage", "decode")
Side = Callable[[str], float]


def make_requests() -> dict[str, list[dict[str, Any]]]:
    """Return each piece of work as requests of mobile_demo/contract/qacore.md."""
    asked = [question for question, _ in samples.pairs("qa")]
    passages = "\n\n".join(samples.texts())
    long = passages * (1 + PASSAGE_BYTES // len(passages.encode()))
    long = long.encode()[:PASSAGE_BYTES].decode(errors="ignore")
    return {
        "questions": [
            {"op": "time", "text": asked[i % len(asked)], "repeat": 1} for i in range(QUESTIONS)
        ],
        "passage": [{"op": "time", "text": long, "repeat": REPEAT}],
        "decode": [{"op": "time_decode", "repeat": 10 * REPEAT, **_logits()}],
    }


def _logits() -> dict[str, Any]:
    """Return two windows with random logits over a made-up context."""
    source = np.random.default_rng(0)
    before, after = 10, LENGTH - CONTEXT - 10
    places = [[4 * i, 4 * i + 3] for i in range(2 * CONTEXT)]
    windows = []
    for first in (0, CONTEXT):
        starts, ends = source.normal(0, 3, (2, LENGTH)).astype(np.float32).astype(float).tolist()
        windows.append(
            {
                "offsets": [
                    *[[0, 0]] * before,
                    *places[first : first + CONTEXT],
                    *[[0, 0]] * after,
                ],
                "context": [before, before + CONTEXT],
                "max_context": [*[0] * before, *[1] * CONTEXT, *[0] * after],
                "start_logits": starts,
                "end_logits": ends,
            }
        )
    options = {"max_length": LENGTH, "doc_stride": 128, "max_query": 64}
    options |= {"max_answer": 30, "n_best": 20}
    return {"context": "abc " * (2 * CONTEXT), "options": options, "windows": windows}


def python_side(tokenizer: TextTokenizer, requests: Mapping[str, list[dict[str, Any]]]) -> Side:
    """Return Python's time for a piece of work, in ns: each repetition of it, as the cores."""
    put = requests["decode"][0]
    record = DecodeRecord.model_validate(
        {"name": "", "answers": [], **{k: put[k] for k in ("context", "options", "windows")}},
        strict=False,
    )

    def measure(work: str) -> float:
        total = 0.0
        for request in requests[work]:
            times = []
            for _ in range(request["repeat"]):
                start = time.perf_counter_ns()
                if work == "decode":
                    goldens.choose(record)
                else:
                    tokenizer.tokenizer.encode(request["text"], add_special_tokens=False)
                times.append(time.perf_counter_ns() - start)
            total += statistics.median(times)
        return total

    return measure


def core_side(core: Core, requests: Mapping[str, list[dict[str, Any]]]) -> Side:
    """Return a core's time for a piece of work, in ns."""

    def measure(work: str) -> float:
        answers = core.ask_all(requests[work])
        return float(sum(statistics.median(answer["nanoseconds"]) for answer in answers))

    return measure


def measure(sides: Mapping[str, Side], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return every side's times of every piece of work, by round; the first one left out."""
    names = list(sides)
    times: dict[str, dict[str, list[float]]] = {name: {work: [] for work in WORK} for name in names}
    for number in range(rounds + 1):
        for work in WORK:
            for place in range(len(names)):
                name = names[(place + number) % len(names)]
                value = sides[name](work)
                if number:
                    times[name][work].append(value)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return times


def shares(bundle: Path, times: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Return what part of a model's time at its shortest length each side's own work is."""
    from ondevice.inference import Model

    model = Model.open(bundle)
    shortest = min(model.manifest.artifact.lengths)
    question, context = samples.pairs("qa")[0]
    while model.ask(question, context).lengths != (shortest,):
        context = context[: len(context) * 9 // 10]
    infer = statistics.median(model.ask(question, context).timing.infer for _ in range(20)) * 1e6
    result: dict[str, Any] = {"length": shortest, "infer_ms": infer / 1e6, "percent": {}}
    for name, work in times.items():
        # Of the long passage as many bytes as this context has, and of two windows one as long.
        text = statistics.median(work["passage"]) * len(context.encode()) / PASSAGE_BYTES
        asked = statistics.median(work["questions"]) / QUESTIONS
        decode = statistics.median(work["decode"]) * shortest / (2 * LENGTH)
        result["percent"][name] = 100 * (text + asked + decode) / infer
    return result


def main() -> None:
    """Measure, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default=models.DEFAULT_MODEL, choices=models.EMBEDDED)
    parser.add_argument("--bundle", type=Path)
    arguments = parser.parse_args()
    tokenizer = read_tokenizer(models.EMBEDDED[arguments.model]())
    requests = make_requests()
    sides = {"python": python_side(tokenizer, requests)}
    missing = {}
    with tempfile.TemporaryDirectory() as directory:
        vocab = Path(directory) / "vocab.txt"
        lines = "".join(f"{piece}\n" for piece in tokenizer.vocabulary())
        vocab.write_text(lines, encoding="utf-8", newline="\n")
        for name in CORES:
            try:
                sides[name] = core_side(Core(name, "--vocab", str(vocab)), requests)
            except pytest.skip.Exception as reason:
                missing[name] = f"not run: {reason}"
        times = measure(sides, arguments.rounds)
    ratios = {
        name: {work: _ratios(times[name][work], times["python"][work]) for work in WORK}
        for name in times
    }
    document = {
        "model": arguments.model,
        "rounds": arguments.rounds,
        "machine": machine.describe(),
        "nanoseconds": times,
        "ratio_to_python": ratios,
        "not_run": missing,
    }
    if arguments.bundle:
        document["share_of_inference"] = shares(arguments.bundle, times)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    rows = [
        (
            name,
            work,
            f"{statistics.median(times[name][work]) / 1e6:.2f}",
            f"{found['median']:.2f}",
            f"{found['min']:.2f}–{found['max']:.2f}",
        )
        for name in times
        for work, found in ratios[name].items()
    ]
    print(console.table(("side", "work", "ms", "ratio to Python", "range"), rows))
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    if arguments.bundle:
        found = document["share_of_inference"]
        for name, percent in found["percent"].items():
            print(f"{name}: {percent:.2f} % of {found['infer_ms']:.1f} ms at {found['length']}")


def _ratios(mine: list[float], python: list[float]) -> dict[str, float]:
    each = [a / b for a, b in zip(mine, python, strict=True)]
    return {"median": statistics.median(each), "min": min(each), "max": max(each)}


if __name__ == "__main__":
    main()
