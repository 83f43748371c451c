"""The task gate: does the artifact still do what its checkpoint does, on real data?

Parity compares numbers; this compares answers. Both run the same examples, so the interval of a
drop is a paired one. Flips are examples for which the two answer differently, right or wrong: a
score can stay the same while answers change.

qa: EM and F1 of both, answer flips. classify, tokens: accuracy or entity F1 where there are
labels, flips of the best class. embed: mean cosine, flips of the nearest neighbour. When a drop
has failed, and when it proves nothing, is in :mod:`ondevice.verify.gate_rules`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice import samples
from ondevice.calibration import spread
from ondevice.errors import DataError
from ondevice.inference import Reply, RunFunction, answer
from ondevice.statistics import difference
from ondevice.tasks import features, qa, qa_scores
from ondevice.tasks.texts import read_lines
from ondevice.verify.gate_rules import (
    Drop,
    Finding,
    GateLimits,
    drop_limit,
    dropped,
    flips,
    interval,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.distill.heads.base import Feature, TaskHead
    from ondevice.manifest import Manifest
    from ondevice.tokenizer import TextTokenizer


# How many examples are done, and of how many.
Tell = Callable[[int, int], None]

# A careful int8 drop of a QA model is 0.6 to 1.1 points of F1 (MobileBERT on SQuAD, 89.02 → 87.95).
_EIGHT_BITS = GateLimits(max_drop=2.0, max_flips=15.0, min_cosine=0.99)
# Fixed ranges of activations lose as much as few bits do.
_FEW_BITS = GateLimits(max_drop=4.0, max_flips=30.0, min_cosine=0.97)
LIMITS: dict[str, GateLimits] = {
    "fp32": GateLimits(max_drop=0.1, max_flips=0.5, min_cosine=0.99999),
    "fp16": GateLimits(max_drop=0.5, max_flips=2.0, min_cosine=0.999),
    "int8": _EIGHT_BITS,
    "int8-weight": _EIGHT_BITS,
    **dict.fromkeys(("int8-static", "pal6", "int4", "pal4"), _FEW_BITS),
}
# With fewer texts each has one possible neighbour, and none can flip.
NEIGHBOURS = 3


@dataclass(frozen=True)
class Subject:
    """An artifact and the checkpoint that it came from, both as functions of model inputs."""

    manifest: Manifest
    tokenizer: TextTokenizer
    artifact: RunFunction
    checkpoint: RunFunction

    def artifact_at(self, tokens: features.TokenRow) -> dict[str, NDArray[np.float32]]:
        """Run the artifact at the shortest of its lengths that the tokens fit."""
        length = features.shortest_length(len(tokens[0]), self.manifest.artifact.lengths)
        return self.artifact(features.pad([tokens], length, self.tokenizer.pad_id))

    def checkpoint_at(self, tokens: features.TokenRow) -> dict[str, NDArray[np.float32]]:
        """Run the checkpoint without padding."""
        return self.checkpoint(features.pad([tokens], len(tokens[0]), self.tokenizer.pad_id))


def limits_for(
    scheme: str,
    *,
    max_drop: float | None = None,
    max_flips: float | None = None,
    min_cosine: float | None = None,
) -> GateLimits:
    """Return a scheme's limits, those that are given in place of its own."""
    usual = LIMITS[scheme]
    return GateLimits(
        max_drop=usual.max_drop if max_drop is None else max_drop,
        max_flips=usual.max_flips if max_flips is None else max_flips,
        min_cosine=usual.min_cosine if min_cosine is None else min_cosine,
    )


def check(
    subject: Subject,
    limits: GateLimits,
    *,
    data: Path | None = None,
    count: int = 0,
    tell: Tell = lambda done, of: None,
) -> list[Finding]:
    """Compare the two on a data file, or on the project's samples.

    Args:
        subject: what is compared.
        limits: what passes.
        data: qa: SQuAD JSON; classify: TSV, CSV or JSONL with the columns `text` and `label`;
            tokens: CoNLL columns; embed: a text a line.
        count: at most so many examples, at even distances; 0 for all.
        tell: called with how many examples are done, and of how many, after each.

    Raises:
        DataError: the file is unreadable, or contradicts itself.
    """
    return _CHECKS[subject.manifest.task](subject, limits, data, count, tell)


def check_data(manifest: Manifest, data: Path) -> None:
    """Read a data file for nothing but its faults, before minutes are spent on other checks.

    Raises:
        DataError: the file is unreadable, or contradicts itself.
    """
    if manifest.task == "qa":
        qa.read_squad(data)
    elif manifest.task == "embed":
        _read_lines(data)
    elif importlib.util.find_spec("torch") is not None:
        # Without it the gate itself cannot run, and says so.
        _head(manifest).read(data)


def _head(manifest: Manifest) -> TaskHead:
    """Return what reads and scores data of a task with labels."""
    length, labels = manifest.artifact.lengths[-1], manifest.model.labels
    if manifest.task == "tokens":
        from ondevice.distill.heads.tokens import TokensHead

        return TokensHead(labels, max_length=length)
    from ondevice.distill.data import TextTask
    from ondevice.distill.heads.classify import ClassifyHead

    return ClassifyHead(TextTask("text", None, labels, ("accuracy",)), max_length=length)


# --- question answering ---


def _qa(
    subject: Subject, limits: GateLimits, data: Path | None, count: int, tell: Tell
) -> list[Finding]:
    examples = spread(qa.read_squad(data or samples.qa_path()), count)
    options = qa.QAOptions(**subject.manifest.window.model_dump())
    lengths = subject.manifest.artifact.lengths
    theirs: dict[str, qa_scores.Answered] = {}
    ours: dict[str, qa_scores.Answered] = {}
    for number, example in enumerate(examples, 1):
        pair = (subject.tokenizer, example.question, example.context)
        reply = answer(subject.checkpoint, *pair, options=options)
        theirs[example.id] = _answered(reply)
        try:
            reply = answer(subject.artifact, *pair, options=options, lengths=lengths)
        except DataError as error:
            # The checkpoint has just answered it, so the fault is the artifact's.
            reason = f"question '{example.id}': {error}"
            return [Finding("task: F1", "", drop_limit(limits), reason)]
        ours[example.id] = _answered(reply)
        tell(number, len(examples))
    return _judge_answers(
        qa_scores.score_answers(theirs, examples), qa_scores.score_answers(ours, examples), limits
    )


def _answered(reply: Reply) -> qa_scores.Answered:
    best = reply.answers[0]
    return best.text, (best.start, best.end)


def _judge_answers(
    before: qa_scores.AnswerScores, after: qa_scores.AnswerScores, limits: GateLimits
) -> list[Finding]:
    drop = qa_scores.drop(after.f1, before.f1)
    em_drop = qa_scores.drop(after.em, before.em)
    old, new = (100.0 * float(one.f1.mean()) for one in (before, after))
    old_em, new_em = (100.0 * float(one.em.mean()) for one in (before, after))
    figure = (
        f"F1 {old:.2f} → {new:.2f}, EM {old_em:.2f} → {new_em:.2f},"
        f" F1 drop {interval(drop)}, EM drop {interval(em_drop)}, n={len(before.f1)}"
    )
    flipped = qa_scores.flipped(after.places, before.places)
    return [
        dropped("task: F1", figure, Drop("F1", old, drop, len(before.f1)), limits),
        flips("task: answer flips", flipped, len(before.f1), limits),
    ]


# --- classification and tagging ---


def _unlabelled(task: str) -> list[Any]:
    """Return the project's samples in the form in which a head reads examples."""
    from ondevice.distill.data import TagExample, TextExample

    texts = enumerate(samples.sentences(task))
    if task == "tokens":
        return [TagExample(f"sample:{number}", tuple(t.split()), ()) for number, t in texts]
    return [TextExample(f"sample:{number}", text, None, None) for number, text in texts]


def _with_head(
    subject: Subject, limits: GateLimits, data: Path | None, count: int, tell: Tell
) -> list[Finding]:
    task = subject.manifest.task
    head = _head(subject.manifest)
    examples = spread(_unlabelled(task) if data is None else head.read(data), count)
    tokenizer = subject.tokenizer.tokenizer
    items = head.features(tokenizer, examples, labelled=data is not None)
    theirs, ours = [], []
    for number, item in enumerate(items, 1):
        row = (item.input_ids, item.token_type_ids)
        theirs.append(_rows(subject.checkpoint_at(row)["logits"], item, head))
        ours.append(_rows(subject.artifact_at(row)["logits"], item, head))
        tell(number, len(items))
    flipped = np.concatenate(
        [
            one.argmax(-1) != other.argmax(-1)
            for one, other in (
                (_judged(a, item), _judged(b, item))
                for a, b, item in zip(ours, theirs, items, strict=True)
            )
        ]
    )
    found = [flips("task: class flips", flipped, len(examples), limits)]
    if not all(np.isfinite(logits).all() for logits in ours):
        found[0] = replace(found[0], reason="the artifact's logits are not finite", ran=True)
    limit = drop_limit(limits)
    if data is None:
        reason = "the sample texts have no labels; give labelled data with --eval FILE"
        return [Finding("task: score", "", limit, reason, ran=False), *found]
    before, after = head.score(items, theirs, examples), head.score(items, ours, examples)
    points = difference(before.statistic, after.statistic, len(before.ids))
    old, new = before.values[before.headline], after.values[after.headline]
    name = before.headline
    figure = f"{name} {old:.2f} → {new:.2f}, drop {interval(points)}, n={len(examples)}"
    drop = Drop(name, old, points, len(examples))
    return [dropped("task: score", figure, drop, limits), *found]


def _rows(logits: NDArray[np.float32], item: Feature, head: TaskHead) -> NDArray[np.float32]:
    """Return [T, C] where the head has a score for each token, else [1, C]."""
    return logits[0, : len(item)] if head.per_token else logits


def _judged(logits: NDArray[np.float32], item: Feature) -> NDArray[np.float32]:
    """Return the rows that decide: words' first pieces, or the text's one row."""
    places = getattr(item, "first_pieces", None)
    return logits if places is None else logits[places[places >= 0]]


# --- embeddings ---


def _embed(
    subject: Subject, limits: GateLimits, data: Path | None, count: int, tell: Tell
) -> list[Finding]:
    texts = spread(samples.sentences("embed") if data is None else _read_lines(data), count)
    longest = subject.manifest.artifact.lengths[-1]
    rows = [features.encode(subject.tokenizer.tokenizer, text, None, longest) for text in texts]
    pairs = []
    for number, row in enumerate(rows, 1):
        before, after = subject.checkpoint_at(row), subject.artifact_at(row)
        pairs.append((before["embedding"], after["embedding"]))
        tell(number, len(rows))
    theirs, ours = (np.concatenate(side) for side in zip(*pairs, strict=True))
    limit = f"mean cosine ≥ {limits.min_cosine:g}"
    if not np.isfinite(ours).all():
        return [Finding("task: cosine", "", limit, "the artifact's embeddings are not finite")]
    cosine = float(np.mean(np.sum(_unit(ours) * _unit(theirs), axis=-1)))
    reason = "" if cosine >= limits.min_cosine else f"mean cosine {cosine:.5f}, {limit}"
    return [
        Finding("task: cosine", f"mean {cosine:.6f}, n={len(texts)}", limit, reason),
        _neighbours(ours, theirs, limits),
    ]


def _neighbours(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], limits: GateLimits
) -> Finding:
    check = "task: nearest-neighbour flips"
    if len(ours) < NEIGHBOURS:
        reason = f"{len(ours)} texts leave no choice of neighbour; give {NEIGHBOURS} at least"
        return Finding(check, "", f"≤ {limits.max_flips:g} %", reason, ran=False)
    return flips(check, _nearest(ours) != _nearest(theirs), len(ours), limits)


def _read_lines(path: Path) -> list[str]:
    texts = read_lines(path)
    if len(texts) < 2:
        raise DataError(f"{path} must hold two texts at least, one a line")
    return texts


def _unit(values: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12))


def _nearest(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each embedding the place of its nearest neighbour by cosine, itself apart."""
    unit = _unit(values)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return np.asarray(similarity.argmax(-1))


_Check = Callable[[Subject, GateLimits, "Path | None", int, Tell], list[Finding]]
_CHECKS: dict[str, _Check] = {
    "qa": _qa,
    "classify": _with_head,
    "tokens": _with_head,
    "embed": _embed,
}
