"""Mixed precision: which parts a build stores in more bits than its scheme does.

Below 8 bits a kept part has 8, as the target's int8 stores it; under an 8-bit scheme it stays a
float. The user names the parts, or says ``auto``: then those are kept that take away most of the
scheme's error for the bytes that they add (:mod:`ondevice.sensitivity`), as many as fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ondevice import calibration, parts, sensitivity
from ondevice.caching import cache_directory
from ondevice.console import Progress
from ondevice.errors import BudgetError, GateError, UserError
from ondevice.schemes import FINE_BITS, SCHEMES, Scheme, get_scheme

if TYPE_CHECKING:
    from ondevice.architectures import Encoder, Head
    from ondevice.calibration import Calibration
    from ondevice.graph import MobileGraph
    from ondevice.models import Checkpoint
    from ondevice.sensitivity import Inputs, Part, Ranking
    from ondevice.targets.base import Target

AUTO = "auto"
# What "auto" alone may add to an artifact.
AUTO_SHARE = 0.05
# What an artifact holds beside numbers, for each length: a graph, names, alignment. A student of
# four layers has 15 kB (Core ML pal6) to 55 kB (ExecuTorch int4) of it.
OVERHEAD, OVERHEAD_OF_LAYER = 16_000, 12_000
# Parts are held against each other, for which fewer texts do than for rounding.
MEASURED_TEXTS = 24
MB = 1_000_000


def is_measurable(scheme: Scheme) -> bool:
    """Tell whether what a scheme loses is in how it rounds weights, which is what is measured."""
    return scheme.bits <= FINE_BITS and not scheme.calibrated


@dataclass(frozen=True)
class Budget:
    """What ``auto`` may spend: a size of the artifact in bytes, or None for the usual share."""

    bytes: int | None


def read_budget(words: Sequence[str]) -> Budget | None:
    """Return the budget of ``auto`` or ``auto:MB``; None where the words are parts.

    Raises:
        UserError: MB is not a size, or parts are named beside it.
    """
    found = [word for word in words if word == AUTO or word.startswith(f"{AUTO}:")]
    if not found:
        return None
    if len(words) > 1:
        raise UserError(f"--keep takes '{found[0]}' alone, or names of parts; not both")
    if found[0] == AUTO:
        return Budget(None)
    text = found[0].removeprefix(f"{AUTO}:")
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        raise UserError(
            f"--keep auto takes a size of the artifact in MB, for example auto:10.5; not '{text}'"
        )
    return Budget(int(size * MB))


def check_words(words: Sequence[str], schemes: Iterable[str]) -> None:
    """Check what needs no checkpoint.

    Raises:
        UserError: a word is empty or no budget, or a scheme stores floats.
    """
    if not words:
        return
    if not all(words):
        raise UserError("--keep has an empty name between its commas")
    measured = read_budget(words) is not None
    for scheme in schemes:
        if measured and get_scheme(scheme).calibrated:
            raise UserError(
                f"what '{scheme}' loses, it loses in its activations, and measuring rounds weights"
                f" alone; type the names of parts instead of --keep {AUTO}, for example"
                " --keep layers.0"
            )
        if get_scheme(scheme).bits > FINE_BITS:
            able = [name for name, one in SCHEMES.items() if one.bits <= FINE_BITS]
            raise UserError(
                f"--keep is for schemes that round weights, and '{scheme}' stores floats;"
                f" type --scheme with one of: {', '.join(able)}"
            )


@dataclass(frozen=True)
class Measurement:
    """A checkpoint's parts as a target stores them, and what rounding each does.

    Attributes:
        size: the artifact's estimated bytes when nothing is kept.
    """

    parts: tuple[Part, ...]
    ranking: Ranking
    size: int

    def choose(self, budget: Budget) -> tuple[str, ...]:
        """Return the parts to keep within a budget; none where all of it is spent without any."""
        limit = math.floor(self.size * (1 + AUTO_SHARE)) if budget.bytes is None else budget.bytes
        return sensitivity.choose(self.ranking, self.parts, max(0, limit - self.size))


class Keeper:
    """Decides for each target and scheme of a build which parts are kept.

    Raises:
        UserError: the words name a part that the checkpoint does not have.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        words: Sequence[str],
        texts: Calibration | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._texts = texts
        self._progress = progress or Progress()
        self._graph: MobileGraph | None = None
        self._budget = read_budget(words)
        names = parts.part_names(checkpoint.encoder, checkpoint.head)
        self._named = parts.choose(words, names) if self._budget is None else ()

    def kept(self, target: Target, scheme: Scheme, lengths: tuple[int, ...]) -> tuple[str, ...]:
        """Return the parts to keep, in the graph's order.

        Raises:
            UserError: the artifact is larger than its budget with none.
        """
        if self._budget is None:
            return self._named
        if self._budget.bytes is not None:
            found = estimate(self._checkpoint, target, scheme, lengths)
            check_budget(self._budget.bytes, found, f"--keep {AUTO}:")
        return self.measure(target, scheme, lengths).choose(self._budget)

    def budget(self) -> int | None:
        """Return the bytes that the user allows an artifact."""
        return None if self._budget is None else self._budget.bytes

    def measure(self, target: Target, scheme: Scheme, lengths: tuple[int, ...]) -> Measurement:
        """Measure what the scheme does to each part; what was measured before is found again."""
        from ondevice import graph

        checkpoint, longest = self._checkpoint, lengths[-1]
        encoder = replace(checkpoint.encoder, max_length=longest)
        described = _describe(encoder, checkpoint.head, target, scheme.name)
        with self._progress.step(f"{target.name} {scheme.name}: measuring its parts") as tell:
            if self._graph is None:
                self._graph = graph.from_checkpoint(checkpoint, graph.GraphForm(), longest)
            texts = self._texts or calibration.from_samples(checkpoint)
            ranking = sensitivity.measure(
                self._graph,
                described,
                calibration.spread(
                    [_without_padding(inputs) for inputs in texts.inputs(longest)], MEASURED_TEXTS
                ),
                notes=cache_directory() / "sensitivity",
                tell=tell,
            )
        found = estimate(checkpoint, target, scheme, lengths)
        return Measurement(tuple(described), ranking, found.size)


@dataclass(frozen=True)
class Estimate:
    """What is known of an artifact's bytes beforehand, when nothing is kept.

    Attributes:
        least: it is not smaller.
        size: it is about this, and rarely larger.
    """

    least: int
    size: int


def estimate(
    checkpoint: Checkpoint, target: Target, scheme: Scheme, lengths: tuple[int, ...]
) -> Estimate:
    """Estimate an artifact from its numbers, whose storage is known, and what a graph weighs."""
    encoder = replace(checkpoint.encoder, max_length=lengths[-1])
    described = _describe(encoder, checkpoint.head, target, scheme.name)
    matrices, vectors = _sizes(encoder, target, scheme, described)
    graph = OVERHEAD + OVERHEAD_OF_LAYER * encoder.layers
    # The least leaves vectors out, 0.4 % of the student's int4: some targets store them as halves.
    return Estimate(matrices, matrices + vectors + len(lengths) * graph)


def check_budget(budget: int, found: Estimate, option: str) -> None:
    """Refuse a size that an artifact has without anything kept in more bits.

    Args:
        budget: bytes.
        found: of the artifact.
        option: as it is typed before the MB.

    Raises:
        BudgetError: it is larger, and the sentence says what to type.
    """
    if budget < found.least:
        enough = math.ceil(found.size / MB * 100) / 100
        raise BudgetError(
            f"{option}{budget / MB:g} is too little: with nothing kept the artifact has about"
            f" {found.size / MB:.2f} MB; type {option}{enough:g} or more"
        )


def check_size(budget: int | None, size: int, label: str, *, kept: bool) -> None:
    """Hold an artifact against the size that the user allowed it.

    Args:
        budget: bytes; None for any size.
        size: bytes of the artifact.
        label: what it is.
        kept: whether any part of it is kept in more bits.

    Raises:
        GateError: it is larger.
    """
    if budget is None or size <= budget:
        return
    enough = math.ceil(size / MB * 100) / 100
    why = "its graph was estimated too small" if kept else "with nothing kept"
    raise GateError(
        f"{label} has {size / MB:.2f} MB, {why}, and --keep {AUTO} allows it {budget / MB:g};"
        f" type --keep {AUTO}:{enough:g} or more"
    )


def _describe(encoder: Encoder, head: Head, target: Target, scheme: str) -> list[Part]:
    return [
        sensitivity.Part(
            name,
            *parts.shape_of(encoder, head, name),
            storage=target.storage(encoder, scheme, name, kept=False),
            kept=target.storage(encoder, scheme, name, kept=True),
        )
        for name in parts.part_names(encoder, head)
    ]


def _sizes(
    encoder: Encoder, target: Target, scheme: Scheme, described: Sequence[Part]
) -> tuple[int, int]:
    """Return the bytes of an artifact's parts and positions, and of its vectors in float32."""
    positions = target.storage(encoder, scheme.name, parts.POSITIONS, kept=False)
    rows = positions.size(encoder.max_length, encoder.embedding_width)
    biases = encoder.layers * (5 * encoder.width + encoder.intermediate)
    # The two vectors of each layer norm, in float32.
    norms = 4 * encoder.width * (encoder.layers + 1)
    vectors = target.bias_bytes.get(scheme.name, 4) * biases + 4 * norms
    return sum(part.bytes for part in described) + rows, vectors


def _without_padding(inputs: Inputs) -> Inputs:
    valid = int(inputs["attention_mask"].sum())
    return {name: value[:, :valid] for name, value in inputs.items()}
