"""A search from options to what was found."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ondevice import bundle, calibration, console, keeping, plan, samples
from ondevice.bench.entries import read_questions
from ondevice.calibration import spread
from ondevice.errors import DataError, SystemTooOldError, UserError
from ondevice.plan import Job
from ondevice.schemes import get_scheme
from ondevice.search.budget import Budget, check_retention
from ondevice.search.build import build_all, plain_jobs
from ondevice.search.candidates import Model, find_teacher, load_models, make_candidates
from ondevice.search.contender import Contender, Figures
from ondevice.search.files import held
from ondevice.search.judge import Judge
from ondevice.search.options import REFERENCE_QUESTIONS, SearchOptions
from ondevice.search.race import race
from ondevice.search.timing import QUESTIONS, time_bundle
from ondevice.search.workshop import WORKER, AbsentError, BrokenError, Workshop
from ondevice.targets import TARGETS
from ondevice.tasks.qa import read_squad
from ondevice.verify import REFERENCES
from ondevice.verify.gate_rules import MIN_EXAMPLES

if TYPE_CHECKING:
    from ondevice.tasks.qa import QAExample

# What is kept in a search's directory, beside the bundles.
ANSWERS, FAILURES, TIMES = "answers", "failures", "times"


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        data: the file of the questions.
        data_sha256: its hash.
        contenders: every candidate with its outcome, target by target.
        chosen: by target; None where nothing fits.
        notes: what a reader of the figures should know.
    """

    options: SearchOptions
    data: Path
    data_sha256: str
    models: tuple[Model, ...]
    teacher: Model | None
    contenders: tuple[Contender, ...]
    chosen: dict[str, Contender | None]
    notes: tuple[str, ...]

    def of_target(self, target: str) -> list[Contender]:
        """Return the candidates of one target."""
        return [one for one in self.contenders if one.candidate.target == target]


def run(
    options: SearchOptions,
    progress: console.Progress,
    command: tuple[str, ...] = WORKER,
    write: Callable[[Found], object] = lambda _: None,
) -> Found:
    """Search.

    Args:
        options: what to search over.
        progress: says what is done.
        command: runs :mod:`ondevice.search._worker`.
        write: puts what was found into `options.out`, while no other search works there.

    Raises:
        UserError: the options ask for what is not there, or cannot be judged.
        DataError: the questions are unreadable, or have no answers.
    """
    options.budget.check()
    data, examples = read_examples(options)
    found = load_models(options.models)
    teacher = find_teacher(options, found)
    contenders = [Contender(one) for one in make_candidates(options, found)]
    targets = list(dict.fromkeys(one.candidate.target for one in contenders))
    if len(options.lengths) > 1:
        # They will be timed by questions, whose results have ids.
        read_questions(data, "qa", QUESTIONS)
    jobs = _check_jobs(options, contenders, found)
    _set_aside(options.budget, contenders, jobs, found, progress)
    with held(options.out), Workshop(command) as workshop:
        judge = make_judge(options, found, teacher, contenders, workshop, progress)
        check_retention(options.budget, own_figures(options, found, targets, examples, judge))

        def build(these: Sequence[Contender]) -> None:
            failures = options.out / FAILURES
            build_all(these, found, workshop, failures, progress, retry=options.retry_failed)
            workshop.dismiss()

        build([one for one in contenders if one.outcome == "open"])
        chosen = {
            target: race(
                [one for one in contenders if one.candidate.target == target],
                questions_for(target, options, examples),
                options.budget,
                judge.judge,
                partial(time_one, options=options, progress=progress),
                build,
                progress,
            )
            for target in targets
        }
        said = [
            *_notes(options, contenders, examples),
            *_seen(options, contenders, found, examples),
        ]
        result = Found(
            options,
            data,
            bundle.hash_file(data),
            tuple(found),
            teacher,
            tuple(contenders),
            chosen,
            tuple(said),
        )
        write(result)
    return result


def _check_jobs(
    options: SearchOptions, contenders: Sequence[Contender], found: Sequence[Model]
) -> dict[Contender, Job]:
    """Return what each candidate builds; those leave that the named iOS does not load.

    Raises:
        UserError: an option cannot be served.
        DataError: the calibration texts will not do.
    """
    if options.ios is not None:
        for one in contenders:
            try:
                plain_jobs([one], found)
            except SystemTooOldError as error:
                one.leave("missed", str(error))
    able = [one for one in contenders if one.outcome == "open"]
    return dict(zip(able, plain_jobs(able, found), strict=True))


def _set_aside(
    budget: Budget,
    contenders: Sequence[Contender],
    jobs: Mapping[Contender, Job],
    found: Sequence[Model],
    progress: console.Progress,
) -> None:
    """Let those leave, before anything is built, whose weights alone are too large.

    Bundles that are there already stay. The others are built after all where nothing fits, to know
    what a larger budget would buy.
    """
    if budget.max_mb is None:
        return
    checkpoints = {model.label: model.checkpoint for model in found}
    smallest: dict[str, int] = {}
    for one, job in jobs.items():
        candidate = one.candidate
        size = keeping.estimate(
            checkpoints[candidate.model],
            TARGETS[candidate.target],
            get_scheme(candidate.scheme),
            candidate.lengths,
        )
        there = not candidate.variant and plan.find_cached(job) is not None
        if size.least > budget.max_mb * keeping.MB and not there:
            one.estimated = size.size
            words = f"about {size.size / keeping.MB:.1f} MB: too large, and not built"
            one.leave("missed", words)
        least = smallest.get(candidate.target, size.size)
        smallest[candidate.target] = min(size.size, least)
    for target, least in smallest.items():
        if least > budget.max_mb * keeping.MB and not any(
            one.outcome == "open" for one in contenders if one.candidate.target == target
        ):
            progress.say(
                f"  {target}: nothing can fit into --max-mb {budget.max_mb:g}: the smallest has"
                f" about {least / keeping.MB:.2f} MB"
            )


def own_figures(
    options: SearchOptions,
    found: Sequence[Model],
    targets: Sequence[str],
    examples: Sequence[QAExample],
    judge: Judge,
) -> dict[str, Figures]:
    """Return what the checkpoints retain themselves, by their labels; nothing if nobody asks."""
    if options.budget.min_retention is None:
        return {}
    asked = min((questions_for(target, options, examples) for target in targets), key=len)
    return {model.label: judge.own(model, asked) for model in found}


def make_judge(
    options: SearchOptions,
    found: Sequence[Model],
    teacher: Model | None,
    contenders: Sequence[Contender],
    workshop: Workshop,
    progress: console.Progress,
) -> Judge:
    """Return what asks the candidates; a checkpoint answers with its candidates' longest length.

    Raises:
        UserError: the teacher does not take inputs of that length.
    """
    longest: dict[str, int] = {}
    for one in contenders:
        name, length = one.candidate.model, one.candidate.lengths[-1]
        longest[name] = max(longest.get(name, 0), length)
    return Judge(workshop, found, teacher, longest, options.out / ANSWERS, progress)


def read_examples(options: SearchOptions) -> tuple[Path, list[QAExample]]:
    """Return the file of the questions, and what it holds.

    Raises:
        DataError: it is unreadable, contradicts itself, or no question has an answer.
        UserError: the number of questions is negative.
    """
    if options.questions is not None and options.questions < 0:
        raise UserError(f"--questions must be 0 (for all) or more, not {options.questions}")
    data = options.data or samples.qa_path()
    examples = read_squad(data)
    if not any(example.answers for example in examples):
        raise DataError(f"{data}: no question has an answer, so there is nothing to score")
    return data, examples


def questions_for(
    target: str, options: SearchOptions, examples: Sequence[QAExample]
) -> list[QAExample]:
    """Return the questions that a target's candidates are asked."""
    count = options.questions
    if count is None:
        count = REFERENCE_QUESTIONS if interpreted(target) else 0
    return spread(examples, count)


def interpreted(target: str) -> bool:
    """Tell whether a target's artifacts can only be interpreted on this system."""
    systems = TARGETS[target].systems
    return bool(systems) and platform.system() not in systems and target in REFERENCES


def time_one(one: Contender, *, options: SearchOptions, progress: console.Progress) -> None:
    """Put a candidate's times into it, or why there are none; one that fails its goldens leaves."""
    assert one.place is not None
    if one.evidence == "reference":
        one.untimed = (
            f"{TARGETS[one.candidate.target].title} is interpreted here, which has no speed"
        )
        return
    manifest = bundle.read_manifest(one.place)
    # One window says nothing of other lengths: a short one has to be run more often.
    questions = (options.data or samples.qa_path()) if len(options.lengths) > 1 else None
    try:
        with progress.step(f"timing {one.candidate.target} {one.candidate.label}"):
            one.times = time_bundle(one.place, manifest, options.out / TIMES, questions)
    except AbsentError as error:
        one.untimed = str(error)
    except BrokenError as error:
        one.leave("failed", str(error))


def _notes(
    options: SearchOptions, contenders: Sequence[Contender], examples: Sequence[QAExample]
) -> list[str]:
    """Say what the figures cannot show."""
    notes = []
    asked = [one.figures for one in contenders if one.figures is not None]
    fewest = min((len(one.f1) for one in asked), default=len(examples))
    if fewest < MIN_EXAMPLES:
        notes.append(
            f"{fewest} questions decide nothing: intervals of fewer than {MIN_EXAMPLES} are too"
            " narrow; give more with --data"
        )
    allowed = options.budget.max_f1_drop
    low = {
        one.candidate.model: 100.0 * float(np.mean(one.figures.own_f1))
        for one in contenders
        if one.figures is not None
    }
    notes += [
        f"{model} itself has an F1 of {score:.2f} on these questions, so that --max-f1-drop"
        f" {allowed:g} excludes nothing"
        for model, score in low.items()
        if allowed is not None and score <= allowed
    ]
    if any(one.evidence == "reference" for one in contenders):
        notes.append("evidence 'reference': answers of the format's interpreter, not of a device")
    notes += _may_lose_more(options.budget, contenders)
    times = [one.times for one in contenders if one.times is not None]
    if times:
        what = "a question" if times[0].length is None else f"a window of {times[0].length} tokens"
        notes.append(
            f"times are of {what} on this machine, one bundle after another; a phone has its own"
        )
    return notes


def _seen(
    options: SearchOptions,
    contenders: Sequence[Contender],
    found: Sequence[Model],
    examples: Sequence[QAExample],
) -> list[str]:
    """Say how many of the questions are among the texts that artifacts were made with."""
    choosing = [
        one.candidate
        for one in contenders
        if one.figures is not None
        and (get_scheme(one.candidate.scheme).takes_texts or one.candidate.variant)
    ]
    if not choosing:
        return []
    asked = {
        one.id: one
        for candidate in choosing
        for one in questions_for(candidate.target, options, examples)
    }
    checkpoint, path = found[0].checkpoint, options.calibration
    texts = (
        calibration.from_samples(checkpoint)
        if path is None
        else calibration.from_file(checkpoint, path)
    )
    known = set(texts.examples)
    both = sum((one.question, one.context) in known for one in asked.values())
    if not both:
        return []
    names = ", ".join(dict.fromkeys(f"{one.scheme} {one.variant}".strip() for one in choosing))
    return [
        f"{both} of the {len(asked)} questions are among the texts that some were made with"
        f" ({names}), which may lose more on others; give others with --data or --calibration"
    ]


def _may_lose_more(budget: Budget, contenders: Sequence[Contender]) -> list[str]:
    """Say of what was chosen by its measured drop that the questions do not prove it."""
    allowed = budget.max_f1_drop
    return [
        f"{one.candidate.target}: {one.candidate.label} changed F1 by {-one.figures.lost:+.2f} on"
        f" these questions, and may lose {one.figures.drop.high:.1f} points on others, more than"
        f" --max-f1-drop {allowed:g}; more questions (--data, --questions) tell"
        for one in contenders
        if one.outcome == "chosen"
        and one.figures is not None
        and allowed is not None
        and one.figures.drop.high > allowed
    ]
