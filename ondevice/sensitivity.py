"""Which parts of an encoder a scheme hurts: each is rounded alone, and the outputs compared.

The error of a part is how far the model's outputs move on sample texts when that part alone is
stored as the scheme stores it, each weight rounded to the nearest (:mod:`ondevice.rounding`), and
everything else in float32:

- scores (qa, classify, tokens): the Kullback-Leibler divergence of their softmax from the
  unrounded model's, in nats, averaged over texts and outputs; for qa the softmax is over the
  tokens of a window, which is how answers are chosen;
- sentence embeddings: one minus the cosine.

Small errors of parts nearly add up, so that keeping a part in more bits takes away about its error:
:func:`choose` fills a budget of bytes with those that take away most for each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.storage import Storage
from ondevice.untrusted import parse_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ondevice.graph import MobileGraph

Inputs = Mapping[str, "NDArray[np.int32]"]
# How many measurements are done, and of how many.
Tell = Callable[[int, int], None]

# Raised when what is measured changes, so that what an older version noted is measured anew.
MEASURE = 2


@dataclass(frozen=True)
class Part:
    """A part, and how a scheme stores it.

    Attributes:
        storage: as the scheme has it.
        kept: as it is stored when it is kept.
    """

    name: str
    rows: int
    columns: int
    storage: Storage
    kept: Storage

    @property
    def bytes(self) -> int:
        """What it weighs under the scheme."""
        return self.storage.size(self.rows, self.columns)

    @property
    def added(self) -> int:
        """The bytes that keeping it adds."""
        return self.kept.size(self.rows, self.columns) - self.bytes


@dataclass(frozen=True)
class Measured:
    """What rounding some parts, and nothing else, does to the outputs.

    Attributes:
        name: a part, a layer, or ``everything``.
        parts: what was rounded.
        error: see the module's docstring.
    """

    name: str
    parts: tuple[str, ...]
    error: float


@dataclass(frozen=True)
class Ranking:
    """The errors of a model's parts under a scheme, the largest first; layers and all apart."""

    parts: tuple[Measured, ...]
    layers: tuple[Measured, ...]
    everything: Measured


def measure(
    graph: MobileGraph,
    parts: Sequence[Part],
    texts: Sequence[Inputs],
    *,
    notes: Path | None = None,
    tell: Tell = lambda done, of: None,
) -> Ranking:
    """Round each part, each layer, and everything, one after another; the graph ends as it began.

    Args:
        graph: the encoder, in float32.
        parts: its parts.
        texts: inputs, int32 [1, L] by name, without padding.
        notes: a directory in which measurements are kept, to be found again by what they depend on.
        tell: called after each measurement.
    """
    asked = [*((part.name, (part,)) for part in parts), *_layers(parts)]
    asked.append(("everything", tuple(parts)))
    meter = _Meter(graph, texts)
    found = []
    for number, (name, chosen) in enumerate(asked, 1):
        storages = {part.name: part.storage for part in chosen}
        found.append(Measured(name, tuple(storages), _noted(meter, storages, notes)))
        tell(number, len(asked))
    ranked = sorted(found[: len(parts)], key=lambda one: -one.error)
    return Ranking(tuple(ranked), tuple(found[len(parts) : -1]), found[-1])


def choose(ranking: Ranking, parts: Sequence[Part], budget: int) -> tuple[str, ...]:
    """Return the parts to keep within `budget` more bytes, in the order of `parts`.

    Greedy: of those that still fit, the one whose error is largest for the bytes that it adds.
    """
    error = {one.name: one.error for one in ranking.parts}
    able = [part for part in parts if part.added > 0]
    chosen = set()
    for part in sorted(able, key=lambda part: -error[part.name] / part.added):
        if part.added <= budget:
            budget -= part.added
            chosen.add(part.name)
    return tuple(part.name for part in parts if part.name in chosen)


def _layers(parts: Sequence[Part]) -> list[tuple[str, tuple[Part, ...]]]:
    """Group the parts of each layer; embeddings and head have their few parts alone."""
    names = [".".join(part.name.split(".")[:2]) for part in parts]
    layers = dict.fromkeys(name for name in names if name.startswith("layers."))
    return [
        (layer, tuple(part for part, name in zip(parts, names, strict=True) if name == layer))
        for layer in layers
    ]


class _Meter:
    """Measures errors of one graph on the same texts.

    What stands before the first part that is rounded is as it was: what each layer is given is kept
    (of BERT-base and 24 texts of 384 tokens 370 MB), and only what follows is computed anew.
    """

    def __init__(self, graph: MobileGraph, texts: Sequence[Inputs]) -> None:
        import torch

        self.graph = graph
        self.texts = [
            tuple(torch.from_numpy(inputs[name]) for name in graph.inputs) for inputs in texts
        ]
        self._expected: list[tuple[Tensor, ...]] | None = None
        # By text, what each layer is given, and the head.
        self._given: list[list[Tensor]] = []
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """A hash of the weights, of what is computed with them, and of the texts."""
        if self._identity is None:
            what = f"{MEASURE} {self.graph.task} {self.graph.encoder}"
            digest = hashlib.sha256(what.encode())
            for name, value in sorted(self.graph.module.state_dict().items()):
                digest.update(name.encode() + value.numpy().tobytes())
            for inputs in self.texts:
                for tensor in inputs:
                    digest.update(tensor.numpy().tobytes())
            self._identity = digest.hexdigest()
        return self._identity

    def error(self, storages: Mapping[str, Storage]) -> float:
        """Return the mean error over all texts with some parts rounded."""
        import torch

        first = min(map(self._place, storages), default=len(self.graph.module.layers))
        with torch.no_grad():
            # Taken before anything is rounded.
            if self._expected is None:
                self._expected = [self._run(inputs) for inputs in self.texts]
            with _rounded(self.graph, storages):
                errors = [
                    _distance(self.graph.task, before, self._from(first, number))
                    for number, before in enumerate(self._expected)
                ]
        return sum(errors) / len(errors)

    def _place(self, part: str) -> int:
        """Return the layer that a part is of; -1 before the layers, their number behind them."""
        where, _, rest = part.partition(".")
        if where == "layers":
            return int(rest.split(".")[0])
        return -1 if where == "embeddings" else len(self.graph.module.layers)

    def _run(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the outputs of a text, and keep what each layer is given."""
        module, given = self.graph.module, []
        handles = [
            one.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
            for one in (*module.layers, module.head)
        ]
        try:
            outputs: tuple[Tensor, ...] = module(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        self._given.append(given)
        return outputs

    def _from(self, first: int, number: int) -> tuple[Tensor, ...]:
        """Return the outputs of a text, computed anew from a layer on."""
        module, inputs = self.graph.module, self.texts[number]
        if first < 0:
            whole: tuple[Tensor, ...] = module(*inputs)
            return whole
        mask = inputs[1]
        hidden = self._given[number][first]
        bias = module.mask_bias(mask, hidden.dtype)
        for layer in module.layers[first:]:
            hidden = layer(hidden, bias)
        outputs: tuple[Tensor, ...] = module.head(hidden, mask)
        return outputs


@contextlib.contextmanager
def _rounded(graph: MobileGraph, storages: Mapping[str, Storage]) -> Iterator[None]:
    """Round some parts of a graph while the block runs."""
    from ondevice.rounding import clipped, rounded

    weights: dict[str, Tensor] = {
        name: graph.module.get_parameter(f"{name}.weight") for name in storages
    }
    before = {name: weight.data for name, weight in weights.items()}
    try:
        for name, weight in weights.items():
            how = storages[name]
            weight.data = rounded(clipped(before[name], how), how)
        yield
    finally:
        for name, weight in weights.items():
            weight.data = before[name]


def _distance(task: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Return the mean over outputs of how far they moved."""
    from torch.nn import functional

    if task == "embed":
        cosine = functional.cosine_similarity(before[0].double(), after[0].double(), dim=-1)
        return float(1.0 - cosine.mean())
    errors = []
    for theirs, ours in zip(before, after, strict=True):
        reference = functional.log_softmax(theirs.double(), dim=-1)
        moved = functional.log_softmax(ours.double(), dim=-1)
        errors.append(float((reference.exp() * (reference - moved)).sum(-1).mean()))
    return sum(errors) / len(errors)


def _noted(meter: _Meter, storages: Mapping[str, Storage], notes: Path | None) -> float:
    """Return an error that was noted before, or measure and note it."""
    if notes is None:
        return meter.error(storages)
    how = {name: asdict(storage) for name, storage in sorted(storages.items())}
    facts = json.dumps([meter.identity, how], sort_keys=True)
    place = notes / f"{hashlib.sha256(facts.encode()).hexdigest()}.json"
    try:
        return float(parse_json(place.read_text(encoding="utf-8"))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        error = meter.error(storages)
    _note(place, json.dumps({"error": error, "rounded": sorted(how)}) + "\n")
    return error


def _note(place: Path, text: str) -> None:
    """Write a note whole or not at all; one that cannot be written is measured again next time."""
    mine = place.with_name(f".{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        mine.write_text(text, encoding="utf-8")
        mine.replace(place)


if __name__ == "__main__":
    from ondevice.cli import main

    sys.exit(main(["sensitivity", *sys.argv[1:]]))
