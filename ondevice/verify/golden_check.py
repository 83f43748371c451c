"""A bundle against its own goldens: what a phone app checks itself with, checked in Python."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ondevice import __version__, card, goldens
from ondevice.errors import DataError
from ondevice.golden_records import (
    AnswerRecord,
    DecodeRecord,
    Record,
    RunRecord,
    TokenizeRecord,
    WindowRecord,
)
from ondevice.inference import answer
from ondevice.manifest import CheckInfo, Evidence, Manifest
from ondevice.schemes import ParityLimit
from ondevice.tasks import qa
from ondevice.tokenizer import VOCAB_FILE
from ondevice.verify import parity, run_goldens
from ondevice.verify.reference import Case

if TYPE_CHECKING:
    from ondevice.inference import Model
    from ondevice.targets.base import Runner
    from ondevice.tokenizer import TextTokenizer

TOKENS, WINDOWS, SPANS = "goldens: tokens", "goldens: windows", "goldens: spans"
OUTPUTS, ANSWERS = "goldens: outputs", "goldens: answers"
INTERPRETER = "goldens: interpreter"
PROBABILITY_TOLERANCE = 2e-6

_OURS = ("ondevice", __version__)
_ABSENT = "the bundle has no goldens of this kind"

_Kind = TypeVar("_Kind", TokenizeRecord, WindowRecord, RunRecord, DecodeRecord, AnswerRecord)


def check_code(
    records: Sequence[Record], tokenizer: TextTokenizer, directory: Path, manifest: Manifest
) -> list[CheckInfo]:
    """Check what needs no model: tokens, windows, spans from logits, and that nothing is lacking.

    A kind of golden that the task calls for, and that is not there, has failed; so has a length
    without one, and a golden that allows more than the scheme promises.
    """
    texts = _of(records, TokenizeRecord)
    rows = [
        _count(
            TOKENS,
            len(texts),
            [*_wrong_vocabulary(tokenizer, directory), *_wrong_texts(texts, tokenizer)],
            ("tokenizers", importlib.metadata.version("tokenizers")),
        )
    ]
    if manifest.task == "qa":
        pairs, vectors = _of(records, WindowRecord), _of(records, DecodeRecord)
        rows.append(_count(WINDOWS, len(pairs), _wrong_windows(pairs, tokenizer), _OURS))
        rows.append(_count(SPANS, len(vectors), _wrong_spans(vectors), _OURS))
    return [*rows, *_lacking(records, manifest)]


def _lacking(records: Sequence[Record], manifest: Manifest) -> list[CheckInfo]:
    """Return a failed row for each length without a golden, or with one that allows too much."""
    runs = _of(records, RunRecord)
    artifact = manifest.artifact
    rows = []
    for length in artifact.lengths:
        of_length = [record for record in runs if record.length == length]
        reasons = [
            reason
            for record in of_length
            if (reason := run_goldens.too_loose(run_goldens.limit_of(record), artifact.scheme))
        ]
        if reasons or not of_length:
            rows.append(_lacks(OUTPUTS, reasons[0] if reasons else _ABSENT, length))
    if manifest.task == "qa" and not _of(records, AnswerRecord):
        rows.append(_lacks(ANSWERS, _ABSENT))
    return rows


def _lacks(check: str, reason: str, length: int | None = None) -> CheckInfo:
    return CheckInfo(
        check=check,
        runtime=_OURS[0],
        version=_OURS[1],
        length=length,
        status="failed",
        evidence="host",
        reason=reason,
    )


def check_outputs(records: Sequence[Record], model: Model, evidence: Evidence) -> list[CheckInfo]:
    """Run the artifact on the goldens' model inputs, length by length."""
    runs = run_goldens.collect(records)
    return [
        _compare(OUTPUTS, cases, runs.limits[length], model, evidence)
        for length, cases in runs.cases.items()
    ]


def check_interpreter(
    records: Sequence[Record], model: Model, interpreter: Runner
) -> list[CheckInfo]:
    """Run the artifact on the same inputs in its runtime and in its format's interpreter.

    Where both are at hand this checks the interpreter, on whose word the artifact is published
    where there is no runtime.
    """
    runs = run_goldens.collect(records)
    rows = []
    for length, cases in runs.cases.items():
        interpreted = [_interpreted(case, interpreter) for case in cases]
        rows.append(_compare(INTERPRETER, interpreted, runs.limits[length], model, "host"))
    return rows


def _interpreted(case: Case, interpreter: Runner) -> Case:
    """Return a case with what the interpreter answers, cut as the case's outputs are."""
    found = interpreter.run(case.inputs)
    outputs = {role: found[role][:, : value.shape[1]] for role, value in case.outputs.items()}
    return replace(case, outputs=outputs)


def _compare(
    check: str, cases: Sequence[Case], limit: ParityLimit, model: Model, evidence: Evidence
) -> CheckInfo:
    """Compare what the model answers with the outputs of cases of one length."""
    names = tuple(cases[0].inputs)
    (info,) = parity.check(model.runner, cases, names, model.manifest.task, limit, evidence)
    by_cosine = limit.max_abs is None
    value = info.cosine if by_cosine else info.max_abs
    figure = f"{'cosine' if by_cosine else 'max abs'} {card.figure(value)}"
    return CheckInfo(
        check=check,
        runtime=info.runtime,
        version=info.version,
        length=cases[0].length,
        figure=figure if value is not None else "",
        limit=info.limit,
        status=info.status,
        evidence=evidence,
        reason=info.reason,
    )


def check_answers(records: Sequence[Record], model: Model, evidence: Evidence) -> list[CheckInfo]:
    """Ask the artifact the goldens' questions.

    A decisive answer (in the table, a clear one: the checkpoint prefers it by far) must be the
    same; of all of them, half at least.
    """
    asked = _of(records, AnswerRecord)
    if not asked:
        return []
    faults = []
    same = 0
    for record in asked:
        try:
            best = answer(
                model.run_inputs,
                model.tokenizer,
                record.question,
                record.context,
                options=goldens.options_for(record.options),
                lengths=model.manifest.artifact.lengths,
            ).answers[0]
        except DataError as error:
            faults.append(f"'{record.question}': {error}")
            continue
        if (best.start, best.end) == (record.answer.start, record.answer.end):
            same += 1
        elif record.decisive:
            faults.append(
                f"'{record.question}': it answers '{best.text}', the checkpoint"
                f" '{record.answer.text}'"
            )
    if not faults and 2 * same < len(asked):
        faults.append(f"only {same} of {len(asked)} answers are the checkpoint's")
    decisive = sum(record.decisive for record in asked)
    return [
        CheckInfo(
            check=ANSWERS,
            runtime=model.runner.runtime,
            version=model.runner.version,
            figure=f"{same}/{len(asked)} the same",
            limit=f"half, and all {decisive} clear ones" if decisive else "half",
            status="failed" if faults else "passed",
            evidence=evidence,
            reason=_first(faults),
        )
    ]


def _of(records: Iterable[Record], kind: type[_Kind]) -> list[_Kind]:
    return [record for record in records if isinstance(record, kind)]


def _count(check: str, total: int, wrong: list[str], runtime: tuple[str, str]) -> CheckInfo:
    return CheckInfo(
        check=check,
        runtime=runtime[0],
        version=runtime[1],
        figure=f"{max(total - len(wrong), 0)}/{total} the same",
        limit="all",
        status="failed" if wrong or not total else "passed",
        evidence="host",
        reason=_first(wrong) if total else _ABSENT,
    )


def _first(wrong: Sequence[str]) -> str:
    if not wrong:
        return ""
    return wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")


def _wrong_vocabulary(tokenizer: TextTokenizer, directory: Path) -> list[str]:
    """Compare what the phones read with what Python reads."""
    path = directory / VOCAB_FILE
    if tokenizer.kind != "wordpiece":
        return []
    if path.read_text(encoding="utf-8").split("\n")[:-1] == tokenizer.vocabulary():
        return []
    return [f"{VOCAB_FILE} is not the vocabulary of tokenizer.json"]


def _wrong_texts(records: Sequence[TokenizeRecord], tokenizer: TextTokenizer) -> list[str]:
    return [
        f"{record.text!r} has other tokens"
        for record in records
        if goldens.tokenize_record(tokenizer, record.text) != record
    ]


def _wrong_windows(records: Sequence[WindowRecord], tokenizer: TextTokenizer) -> list[str]:
    return [
        f"'{record.question}' with {len(record.context)} code points has other windows"
        for record in records
        if goldens.window_record(tokenizer, record.question, record.context, record.options)
        != record
    ]


def _wrong_spans(records: Sequence[DecodeRecord]) -> list[str]:
    wrong = []
    for record in records:
        try:
            found = goldens.choose(record)
        except DataError:
            if record.error is None:
                wrong.append(f"'{record.name}' is refused")
            continue
        if record.error is not None or not _same_spans(found, record):
            wrong.append(f"'{record.name}' gives other spans")
    return wrong


def _same_spans(found: Sequence[qa.Answer], record: DecodeRecord) -> bool:
    return len(found) == len(record.answers) and all(
        (one.start, one.end, one.text, one.score)
        == (other.start, other.end, other.text, other.score)
        and abs(one.probability - other.probability) <= PROBABILITY_TOLERANCE
        for one, other in zip(found, record.answers, strict=True)
    )
