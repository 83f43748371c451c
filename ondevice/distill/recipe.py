"""The verbs `finetune`, `task` and `score`: they load, train, score and write checkpoints."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import models
from ondevice.distill import checkpoints, lineage, runs
from ondevice.distill.lesson import load
from ondevice.distill.options import DataOptions, FinetuneOptions, TaskOptions, numbered
from ondevice.distill.rounding import check_trainable
from ondevice.distill.student import numbered_layers
from ondevice.errors import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.distill.cache import TeacherCache
    from ondevice.distill.distiller import TaskDistiller
    from ondevice.distill.heads.base import Feature, Scores
    from ondevice.distill.lesson import Lesson

logger = logging.getLogger(__name__)


@runs.releasing
def finetune(options: FinetuneOptions) -> dict[str, Any]:
    """Fine-tune a checkpoint; return the scores that were also written to `scores.json`.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    found = models.load(options.model)
    checkpoints.check_length(found, options.data.qa.max_length)
    files = options.data.files | checkpoints.files(found, "model")
    description = runs.describe("finetune", options, files)
    # A pretrained encoder has learned no answers; another's fine-tuned model may have.
    fresh = found.task != options.data.task
    description["ancestors"] = [] if fresh else lineage.ancestors([found.directory])
    if (done := runs.claim(options.out, description)) is not None:
        return done

    from ondevice.distill import engine
    from ondevice.distill.sources import read_sources, results
    from ondevice.distill.trainer import TaskTrainer

    with runs.preparing(options.out):
        engine.prepare(options.training)
        sources = read_sources(options.data, found.directory)
        model = checkpoints.load(
            found.directory,
            sources.head.auto_class,
            dropout=options.training.dropout,
            **sources.head.config,
        )
        engine.adapt(model, options.training)
        features = sources.training()
        evaluation = sources.evaluation()
        watched = sources.evaluation(options.training.eval_questions)
    with engine.logging_to(options.out):
        trainer = TaskTrainer(
            model,
            engine.arguments(options.training, options.out, len(features)),
            sources.head,
            features,
            watched,
            budget=engine.budget(options.training, options.out),
        )
    seconds = engine.run(trainer, options.out)
    result = results(evaluation.score(model)) | {
        "eval": options.data.eval_file.name,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
    }
    engine.finish(trainer, options.out, found.directory, result)
    return result


@runs.releasing
def task(options: TaskOptions) -> dict[str, Any]:
    """Distil a teacher into a student for one task; return the scores, retention included.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    if options.cache is not None:
        runs.check_cache(options.cache)
    teacher = models.load(options.teacher)
    student = models.load(options.student) if options.student else None
    for one in (teacher, student):
        if one is not None:
            checkpoints.check_length(one, options.data.qa.max_length)
    if student is not None and options.layers == TaskOptions.layers:
        # Nobody named any: those that it was made of, which its own record is to name in turn.
        made_of = lineage.layers(student.directory, teacher.encoder.layers)
        options = options if made_of is None else replace(options, layers=made_of)
    options = replace(options, layers=numbered_layers(options.layers, teacher.encoder.layers))
    files = options.data.files | numbered("unlabelled", options.unlabelled)
    files |= checkpoints.files(teacher, "teacher")
    if student is not None:
        files |= checkpoints.files(student, "student")
        checkpoints.check_vocabulary(teacher.directory, student.directory)
    if options.quantize is not None:
        require("torchao.quantization.qat", extra="distill")
    description = runs.describe("task", options, files)
    taught_by = [one.directory for one in (teacher, student) if one is not None]
    description["ancestors"] = lineage.ancestors(taught_by)
    if (done := runs.claim(options.out, description)) is not None:
        return done

    from ondevice.distill import engine

    with runs.preparing(options.out):
        engine.prepare(options.training)
        begun = student.directory if student is not None else None
        lesson = load(options, teacher.directory, begun, _teacher_key(description["sha256"]))
        end_rounding = _round(lesson.student, options.quantize)
        with engine.main_process_first():
            teacher_scores = _teacher_scores(options.cache, lesson)
            cache = _training_cache(options, lesson)
    with engine.logging_to(options.out):
        trainer = _trainer(options, lesson, cache)
    seconds = engine.run(trainer, options.out)
    rounded = lesson.evaluation.score(lesson.student) if options.quantize else None
    end_rounding()
    result = _report(lesson, teacher_scores, rounded, options.quantize) | {
        "eval": options.data.eval_file.name,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
    }
    engine.finish(trainer, options.out, teacher.directory, result)
    return result


def score(names: tuple[str, ...], data: DataOptions, quantize: str | None = None) -> dict[str, Any]:
    """Score checkpoints on `data.eval_file`; the first is what the others are compared with.

    For each of the others: retention in percent, and the difference in points, with paired
    intervals. With `quantize`, all are scored with their weights rounded as a scheme rounds them.

    Raises:
        UserError: there is no training for that scheme, or a name leads nowhere.
    """
    if quantize is not None:
        check_trainable(quantize)
    directories = {}
    for name in names:
        one = models.load(name)
        checkpoints.check_length(one, data.qa.max_length)
        directories[name] = one.directory
    runs.check_files([data.eval_file])
    from ondevice.distill import engine
    from ondevice.distill.sources import read_sources, results
    from ondevice.statistics import difference, retention

    device = engine.connect()
    found: dict[str, Any] = {}
    first = None
    for name, directory in directories.items():
        sources = read_sources(data, directory)
        model = checkpoints.load(directory, sources.head.auto_class, complete=True)
        _round(model, quantize)
        scores = sources.evaluation().score(model.to(device))
        found[name] = results(scores)
        if first is None:
            first = scores
            continue
        pair = (scores.statistic, first.statistic, len(scores.ids))
        found[name] |= {
            "retention": asdict(retention(*pair)),
            "difference": asdict(difference(*pair)),
        }
    return found


def _teacher_key(hashes: Mapping[str, str]) -> str:
    chosen = [f"{label} {sha}" for label, sha in hashes.items() if label.startswith("teacher:")]
    return hashlib.sha256("\n".join(sorted(chosen)).encode()).hexdigest()


def _teacher_scores(directory: Path | None, lesson: Lesson) -> Scores:
    evaluation = lesson.evaluation
    if directory is None:
        return evaluation.score(lesson.teacher)
    filled = _filled(directory, lesson, evaluation.features, ())
    logits = [filled[index].logits for index in range(len(evaluation.features))]
    return lesson.head.score(evaluation.features, logits, evaluation.examples)


def _training_cache(options: TaskOptions, lesson: Lesson) -> TeacherCache | None:
    """Return what the teacher says of the training data; None where it runs live."""
    if options.cache is None or options.weights.attention:
        return None
    layers = tuple(theirs for _, theirs in lesson.pairs) if options.weights.hidden else ()
    return _filled(options.cache, lesson, lesson.features.items, layers)


def _filled(
    directory: Path, lesson: Lesson, items: list[Feature], layers: tuple[int, ...]
) -> TeacherCache:
    """Return the cache of the teacher's outputs, complete."""
    from ondevice.distill.cache import TeacherCache
    from ondevice.distill.forward import outputs

    head, config = lesson.head, lesson.teacher.config
    cache = TeacherCache(
        directory, lesson.teacher_key, items, per_token=head.per_token, layers=layers
    )
    compute = partial(outputs, lesson.teacher, head, layers=layers)
    cache.fill(compute, classes=config.num_labels, width=config.hidden_size)
    return cache


def _trainer(options: TaskOptions, lesson: Lesson, cache: TeacherCache | None) -> TaskDistiller:
    from ondevice.distill import engine
    from ondevice.distill.distiller import TaskDistiller, with_teacher

    return TaskDistiller(
        lesson.student,
        engine.arguments(options.training, options.out, len(lesson.features)),
        lesson.head,
        lesson.features,
        lesson.sources.evaluation(options.training.eval_questions),
        budget=engine.budget(options.training, options.out),
        collate=None if cache is None else with_teacher(lesson.head, cache),
        teacher=lesson.teacher if cache is None else None,
        pairs=lesson.pairs,
        weights=options.weights,
        temperature=options.temperature,
    )


def _round(model: PreTrainedModel, scheme: str | None) -> Callable[[], None]:
    """Let a model compute with rounded weights, if a scheme says so; return what ends that."""
    if scheme is None:
        return lambda: None
    from ondevice.distill import fake_quantized

    return fake_quantized.attach(model, scheme)


def _report(
    lesson: Lesson, teacher_scores: Scores, rounded: Scores | None, scheme: str | None
) -> dict[str, Any]:
    """Return the scores of the student's float weights, and those it has `rounded`."""
    from ondevice.distill.sources import results
    from ondevice.statistics import difference, retention

    scores = lesson.evaluation.score(lesson.student)
    kept = retention(scores.statistic, teacher_scores.statistic, len(scores.ids))
    found = results(scores) | {"teacher": results(teacher_scores), "retention": asdict(kept)}
    if rounded is None:
        return found
    gap = difference(rounded.statistic, scores.statistic, len(scores.ids))
    found["quantized"] = {"scheme": scheme, **results(rounded), "difference": asdict(gap)}
    return found
