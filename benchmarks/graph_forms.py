"""What a way of writing the same encoder is worth on each runtime.

    python benchmarks/graph_forms.py [--layers 2] [--targets tflite,onnx]

Takes the graph as `ondevice build` lowers it, rewrites one thing at a time, lowers each form to
fp32, holds its outputs against those of the graph as it is, and times them all in turn (A B C A B
C …) in one process, with the same threads. Prints the median time over that of the graph as it
is, with the interval of the paired ratio, and writes ``benchmarks/results/graph_forms.json``.

The weights are random (seeded): time does not depend on what they are.
"""

from __future__ import annotations

import argparse
import copy
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import commands
import figures
import machine
import numpy as np
import torch
import transformers
from torch import Tensor, nn

from ondevice import console, graph, models
from ondevice.errors import UserError
from ondevice.graph import MobileGraph, SelfAttention
from ondevice.models import Checkpoint
from ondevice.targets import TARGETS
from ondevice.targets.base import ConvertOptions, Labels, Runner

RESULTS = Path(__file__).parent / "results" / "graph_forms.json"
LABELS = Labels("forms", "qa", "ondevice", "apache-2.0", "0")
# Above it, two forms do not compute the same: rounding is 100 times less.
FURTHEST = 1e-3
# Forms share a process, and each has a pool of threads, which spin for tens of milliseconds after
# a run: the next form's turn begins when that is over.
PAUSE_SECONDS = 0.1
# Those whose runtimes exist on this system.
TARGET_NAMES = ("tflite", "executorch", "onnx")


class Attention(nn.Module):
    """Self-attention with the weights of `old`, written another way; a batch of one.

    Args:
        scale: ``query`` has 1/√d in the projection, as `old` does, ``scores`` multiplies by it.
        key: ``permuted`` to [.., D, L] in one step, ``turned`` in two.
        rank: 4 keeps the batch, 3 leaves it out: [heads, L, D].
        fused: one projection for query, key and value.
        mask: ``added`` to the scores, ``appended`` as one more row of the keys.
    """

    def __init__(
        self,
        old: SelfAttention,
        *,
        scale: str = "query",
        key: str = "permuted",
        rank: int = 4,
        fused: bool = False,
        mask: str = "added",
    ) -> None:
        super().__init__()
        self.heads, self.head_width = old.heads, old.head_width
        self.scale, self.turn, self.rank, self.mask = scale, key, rank, mask
        parts = [copy.deepcopy(part) for part in (old.query, old.key, old.value)]
        if scale == "scores":
            parts[0].weight *= math.sqrt(self.head_width)
            parts[0].bias *= math.sqrt(self.head_width)
        if fused:
            parts = [_fuse(parts)]
        self.projections = nn.ModuleList(parts)
        self.output = old.output

    def forward(self, hidden: Tensor, mask_bias: Tensor) -> Tensor:
        _, length, width = hidden.shape
        if len(self.projections) == 1:
            together = self.projections[0](hidden)
            query, key, value = (
                together[..., i * width : (i + 1) * width] for i in range(len("qkv"))
            )
        else:
            query, key, value = (project(hidden) for project in self.projections)
        batch = (1,) if self.rank == 4 else ()
        split = (*batch, length, self.heads, self.head_width)
        query, value = query.view(split).transpose(-3, -2), value.view(split).transpose(-3, -2)
        if self.mask == "appended":
            query = torch.cat([query, torch.ones_like(query[..., :1])], dim=-1)
        if self.turn == "turned":
            key = key.view(split).transpose(-3, -2).transpose(-2, -1)
        else:
            order = (0, 2, 3, 1) if self.rank == 4 else (1, 2, 0)
            key = key.view(split).permute(order)
        if self.mask == "appended":
            # The scale must be in the query, or it would scale the mask as well.
            row = mask_bias.expand(*batch, self.heads, 1, length)
            key = torch.cat([key, row], dim=-2)
        multiply = torch.bmm if self.rank == 3 else torch.matmul
        scores = multiply(query, key)
        if self.scale == "scores":
            scores = scores * (1.0 / math.sqrt(self.head_width))
        if self.mask == "added":
            scores = scores + mask_bias
        context = multiply(torch.softmax(scores, dim=-1), value)
        merged: Tensor = self.output(context.transpose(-3, -2).reshape(1, length, width))
        return merged


def _fuse(parts: list[nn.Linear]) -> nn.Linear:
    fused = nn.Linear(parts[0].in_features, sum(part.out_features for part in parts))
    fused.weight = nn.Parameter(torch.cat([part.weight for part in parts]), requires_grad=False)
    fused.bias = nn.Parameter(torch.cat([part.bias for part in parts]), requires_grad=False)
    return fused


Rewrite = Callable[[MobileGraph], None]


def attention(**options: Any) -> Rewrite:
    """Return what rewrites the attention of every layer."""

    def rewrite(model: MobileGraph) -> None:
        # The mask is made once, in the rank of the scores.
        kind = "bmm" if options.get("rank") == 3 else "matmul"
        model.module.form = replace(model.module.form, attention=kind)
        for layer in model.module.layers:
            layer.attention = Attention(layer.attention, **options)

    return rewrite


def norms(kind: type[nn.LayerNorm]) -> Rewrite:
    """Return what replaces all layer norms."""

    def rewrite(model: MobileGraph) -> None:
        found = [
            (parent, name, child)
            for parent in model.module.modules()
            for name, child in parent.named_children()
            if isinstance(child, nn.LayerNorm)
        ]
        for parent, name, old in found:
            new = kind(old.normalized_shape[0], eps=old.eps)
            new.weight, new.bias = old.weight, old.bias
            setattr(parent, name, new)

    return rewrite


def scaled_dot_product(model: MobileGraph) -> None:
    """Use the one operator for attention."""
    form = replace(model.module.form, attention="sdpa")
    model.module.form = form
    for layer in model.module.layers:
        layer.attention.form = form


BASE = "as it is"
FORMS: dict[str, tuple[Rewrite, ...]] = {
    BASE: (),
    "sdpa": (scaled_dot_product,),
    "rank 4": (attention(),),
    "rank 4, key turned twice": (attention(key="turned"),),
    "rank 4, one projection": (attention(fused=True),),
    "rank 4, mask appended": (attention(mask="appended"),),
    "rank 4, scale on the scores": (attention(scale="scores"),),
    "rank 4, scale on the scores, key turned twice": (attention(scale="scores", key="turned"),),
    "rank 3": (attention(rank=3),),
    "rank 3, one projection": (attention(rank=3, fused=True),),
    "rank 3, key turned twice": (attention(rank=3, key="turned"),),
    "rank 3, scale on the scores": (attention(rank=3, scale="scores"),),
    "layer norm as one operator": (norms(nn.LayerNorm),),
    "layer norm by products": (norms(graph.ProductNorm),),
}


def make_checkpoint(layers: int, directory: Path) -> Checkpoint:
    """Return a checkpoint of DistilBERT's width with seeded random weights, for questions."""
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(n_layers=layers)
    place = directory / "checkpoint"
    transformers.DistilBertForQuestionAnswering(config).save_pretrained(place)
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(models.EMBEDDED["student"]() / file, place / file)
    return models.load(str(place))


@dataclass
class Form:
    """A form that was lowered: what runs it, and what it gave."""

    name: str
    runner: Runner
    outputs: dict[str, Any]
    times: list[int]


def lower(model: MobileGraph, name: str, target: str, length: int, directory: Path) -> Path:
    """Write one form down as an artifact."""
    written = MobileGraph(copy.deepcopy(model.module), model.encoder, model.task, model.labels)
    for rewrite in FORMS[name]:
        rewrite(written)
    path = directory / str(list(FORMS).index(name)) / TARGETS[target].file
    path.parent.mkdir(parents=True, exist_ok=True)
    TARGETS[target].convert(written, ConvertOptions("fp32", (length,), LABELS), path)
    return path


def distance(form: Form, base: Form, length: int) -> float:
    """Return how far the outputs of two forms differ at most, padding left out."""
    valid = length * 3 // 4
    return max(
        float(np.abs(value[..., :valid] - base.outputs[role][..., :valid]).max())
        for role, value in form.outputs.items()
    )


def measure(
    model: MobileGraph, target: str, names: list[str], arguments: argparse.Namespace, out: Path
) -> list[dict[str, Any]]:
    """Return a record for each form on one target, the graph as it is first."""
    length, threads = arguments.length, arguments.threads
    rng = np.random.default_rng(0)
    inputs = {
        name: np.ones((1, length), np.int32) for name in model.inputs if name != "input_ids"
    } | {"input_ids": rng.integers(1000, 20000, (1, length), dtype=np.int32)}
    inputs["attention_mask"][0, length * 3 // 4 :] = 0
    forms, records = [], []
    for name in names:
        try:
            with console.quiet(out / "log"):
                path = lower(model, name, target, length, out / target)
            runner = TARGETS[target].load(path, model.outputs, threads=threads)
            form = Form(name, runner, runner.run(inputs), [])
            if forms and (far := distance(form, forms[0], length)) > FURTHEST:
                raise ValueError(f"it computes something else: off by {far:.1e}")
            forms.append(form)
        except Exception as error:
            # Converters raise anything. Without the base there is nothing to compare with.
            if name == BASE:
                raise
            records.append({"form": name, "target": target, "failed": str(error).split("\n")[0]})
        print(f"{target}: {name}", file=sys.stderr)
    for turn in range(arguments.warmup + arguments.iterations):
        for form in forms:
            time.sleep(PAUSE_SECONDS)
            begin = time.perf_counter_ns()
            form.runner.run(inputs)
            if turn >= arguments.warmup:
                form.times.append(time.perf_counter_ns() - begin)
    base = forms[0]
    records += [
        {
            "form": form.name,
            "target": target,
            "median_ms": float(np.median(form.times)) / 1e6,
            "ratio": figures.as_json(figures.paired_ratio(form.times, base.times)),
            "max_abs": distance(form, base, length),
            "times_ns": form.times,
        }
        for form in forms
    ]
    return records


def main() -> int:
    """Lower, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--targets", default="tflite,executorch,onnx")
    parser.add_argument("--layers", type=int, default=2, help="of DistilBERT's width")
    parser.add_argument("--length", type=commands.whole("--length", 16), default=384)
    parser.add_argument("--threads", type=commands.whole("--threads"), default=2)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--iterations", type=commands.whole("--iterations"), default=30)
    parser.add_argument("--only", help="names of forms, with semicolons between them")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    targets = commands.words(arguments.targets, "target", TARGET_NAMES)
    asked = arguments.only.split(";") if arguments.only else list(FORMS)
    names = list(dict.fromkeys([BASE, *asked]))
    if unknown := set(names) - set(FORMS):
        parser.error(f"unknown form '{min(unknown)}'; forms: {', '.join(FORMS)}")
    longest = transformers.DistilBertConfig().max_position_embeddings
    if not 1 <= arguments.length <= longest:
        raise UserError(f"--length goes from 1 to {longest}, not {arguments.length}")
    records = []
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = make_checkpoint(arguments.layers, Path(directory))
        for target in targets:
            model = graph.from_checkpoint(checkpoint, TARGETS[target].form())
            records += measure(model, target, names, arguments, Path(directory))
    document = {
        "machine": machine.describe(),
        "layers": arguments.layers,
        "length": arguments.length,
        "threads": arguments.threads,
        "forms": records,
    }
    commands.write(arguments.results, document)
    print(
        console.table(
            ("target", "form", "ms", "ratio", "max abs"), [row_of(one) for one in records]
        )
    )
    return 0


def row_of(record: dict[str, Any]) -> tuple[str, ...]:
    """Return a table row."""
    if "failed" in record:
        return record["target"], record["form"], "–", record["failed"][:60], "–"
    return (
        record["target"],
        record["form"],
        f"{record['median_ms']:.1f}",
        figures.as_text(record["ratio"]),
        f"{record['max_abs']:.1e}",
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
