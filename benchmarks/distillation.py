"""What each lever of task distillation is worth: the same steps, one thing changed at a time.

    python benchmarks/distillation.py --teacher teacher --train A.json B.json --eval dev.json \
        --out runs/levers [--steps 400] [--only "plain;first layers"]

Trains a student for each lever, all from the same teacher, seed and number of steps, scores all
of them on the same questions, and prints for each its F1 and the paired difference from the
student `distilled`, which has layers 1, 3 and 5 and else the defaults. `plain` is the same student
fine-tuned without a teacher; `hidden states alone` learn from unlabelled pairs too; `4 layers,
plain` is held against `4 layers`, and so on (`AGAINST`). What goes on from another lever's student
has had as many steps before; `twice the steps` is what to hold it against.
Runs resume, and finished ones are not repeated.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import commands
import machine

from ondevice import console
from ondevice.distill import recipe
from ondevice.distill.options import DataOptions, LossWeights, TaskOptions, TrainOptions
from ondevice.errors import UserError

RESULTS = Path(__file__).parent / "results" / "distillation.json"
BASE = "distilled"
# What was the default when the first of them were trained.
LAYERS = "1,3,5"
PLAIN = LossWeights(kl=0.0, hard=1.0, hidden=0.0)

HIDDEN = LossWeights(kl=0.0, hard=0.0, hidden=1.0)

# What differs from the defaults of `ondevice distill task`.
LEVERS: dict[str, dict[str, object]] = {
    BASE: {},
    "hidden states alone": {"weights": HIDDEN, "pairs": 10_000},
    "plain": {"weights": PLAIN},
    "soft targets alone": {"weights": LossWeights(hard=0.0, hidden=0.0)},
    "without hidden states": {"weights": LossWeights(hidden=0.0)},
    "without labels": {"weights": LossWeights(hard=0.0)},
    "hidden states of the last layer": {"compare": "last"},
    "attention maps": {"weights": LossWeights(attention=1.0)},
    "temperature 1": {"temperature": 1.0},
    "temperature 4": {"temperature": 4.0},
    "first layers": {"layers": "first-3"},
    "last layers": {"layers": "last-3"},
    "layers 0,2,4": {"layers": "0,2,4"},
    "layers 0,3,5": {"layers": "0,3,5"},
    "10,000 unlabelled pairs": {"pairs": 10_000},
    "10,000 unlabelled crops": {"crops": 10_000},
    "twice the steps": {},
    "hidden states alone first": {},
    "4 layers": {"layers": "0,2,3,5"},
    "4 layers, plain": {"layers": "0,2,3,5", "weights": PLAIN},
    "first layers, matched with 1,3,5": {"layers": "first-3", "compare": "1,3,5"},
    "first layers, soft targets alone": {
        "layers": "first-3",
        "weights": LossWeights(hard=0.0, hidden=0.0),
    },
    "4 first layers": {"layers": "first-4"},
    "4 first layers, soft targets alone": {
        "layers": "first-4",
        "weights": LossWeights(hard=0.0, hidden=0.0),
    },
    "4 first layers, plain": {"layers": "first-4", "weights": PLAIN},
}
# Levers that are held against another one than `distilled`: the one that they change.
AGAINST = {
    "4 layers, plain": "4 layers",
    "first layers, matched with 1,3,5": "first layers",
    "first layers, soft targets alone": "first layers",
    "4 first layers, soft targets alone": "4 first layers",
    "4 first layers, plain": "4 first layers",
}
# Levers that go on from another one's student, and those with more steps, as a factor.
AFTER = {"hidden states alone first": "hidden states alone"}
LONGER = {"twice the steps": 2}


def main() -> int:
    """Train, score and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--teacher", default="teacher")
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="directory of the runs")
    parser.add_argument("--steps", type=commands.whole("--steps"), default=400)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--only", help="names of levers, with semicolons between them")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    asked = [name.strip() for name in arguments.only.split(";")] if arguments.only else list(LEVERS)
    if unknown := set(asked) - set(LEVERS):
        raise UserError(f"unknown lever '{min(unknown)}'; available: {'; '.join(LEVERS)}")
    before = [other[name] for other in (AFTER, AGAINST) for name in asked if name in other]
    # In this order, since a lever's beginning is among those before it.
    chosen = [name for name in LEVERS if name in {BASE, *before, *asked}]
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")

    data = DataOptions(train=tuple(arguments.train), eval_file=arguments.eval)
    base = TaskOptions(
        teacher=arguments.teacher,
        data=data,
        out=arguments.out / "distilled",
        cache=arguments.out / "cache",
        layers=LAYERS,
        training=TrainOptions(
            max_steps=arguments.steps,
            learning_rate=arguments.learning_rate,
            precision=arguments.precision,
            freeze_embeddings=True,
            eval_every=arguments.steps,
        ),
    )
    runs = {name: train(name, base, arguments.out) for name in chosen}
    scores = {}
    for other in dict.fromkeys((BASE, *AGAINST.values())):
        names = [name for name in chosen if AGAINST.get(name, BASE) == other]
        if names:
            each = dict.fromkeys(str(runs[name]) for name in (other, *names))
            scored = recipe.score(tuple(each), data)
            scores |= {name: {"against": other, **scored[str(runs[name])]} for name in names}
    rows = [{"lever": name, **scores[name]} for name in chosen]
    document = {
        "machine": machine.describe(),
        "steps": arguments.steps,
        "learning_rate": arguments.learning_rate,
        "precision": arguments.precision,
        "train": [path.name for path in arguments.train],
        "eval": arguments.eval.name,
        "rows": rows,
    }
    commands.write(arguments.results, document)
    print(console.table(("student", "EM", "F1", f"F1 - {BASE}"), [row_of(row) for row in rows]))
    return 0


def train(name: str, base: TaskOptions, out: Path) -> Path:
    """Train one student unless it is trained already; return its directory."""
    options = replace(base, out=out / slug(name), **LEVERS[name])  # type: ignore[arg-type]
    if name in AFTER:
        options = replace(options, student=str(out / slug(AFTER[name])))
    steps = base.training.max_steps * LONGER.get(name, 1)
    training = replace(base.training, max_steps=steps, eval_every=steps)
    recipe.task(replace(options, training=training))
    return options.out


def slug(name: str) -> str:
    """Return a directory's name."""
    return name.replace(" ", "-").replace(",", "")


def row_of(row: dict[str, object]) -> tuple[str, ...]:
    """Return a table row."""
    gap = row.get("difference")
    text = "–"
    if isinstance(gap, dict):
        text = f"{gap['value']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]"
        text += "" if row["against"] == BASE else f" against {row['against']}"
    return str(row["lever"]), f"{row['em']:.1f}", f"{row['f1']:.1f}", text


if __name__ == "__main__":
    sys.exit(commands.run(main))
