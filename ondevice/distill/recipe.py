"""The verbs `finetune` and `task`: each loads, trains, scores and writes one checkpoint."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.distill import checkpoints, runs
from ondevice.distill.options import DataOptions, FinetuneOptions, TaskOptions
from ondevice.errors import UserError
from ondevice.models import WEIGHTS_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.distill.heads import TaskHead
    from ondevice.distill.heads.base import Feature
    from ondevice.distill.trainer import Evaluation

logger = logging.getLogger(__name__)


def finetune(options: FinetuneOptions) -> dict[str, Any]:
    """Fine-tune a checkpoint; return the scores that were also written to `scores.json`.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    directory = checkpoints.resolve(options.model)
    files = options.data.files | {"weights": directory / WEIGHTS_FILE}
    description = runs.describe("finetune", options, files)
    if (done := runs.claim(options.out, description)) is not None:
        return done

    from ondevice.distill import engine
    from ondevice.distill.sources import read_sources, results
    from ondevice.distill.trainer import TaskTrainer

    engine.prepare(options.training)
    sources = read_sources(options.data, directory)
    model = checkpoints.load(
        directory, sources.head.auto_class, dropout=options.training.dropout, **sources.head.config
    )
    engine.freeze(model, options.training)
    features = sources.training()
    evaluation = sources.evaluation()
    with engine.logging_to(options.out):
        trainer = TaskTrainer(
            model,
            engine.arguments(options.training, options.out, len(features)),
            sources.head,
            features,
            sources.evaluation(options.training.eval_questions),
            budget=engine.budget(options.training, options.out),
        )
    seconds = engine.run(trainer, options.out)
    result = results(evaluation.score(model)) | {
        "eval": options.data.eval_file.name,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
    }
    engine.finish(trainer, options.out, directory, result)
    return result


def task(options: TaskOptions) -> dict[str, Any]:
    """Distil a teacher into a student for one task; return the scores, retention included.

    Raises:
        UserError: an option, a file or the output directory is at fault.
    """
    directory = checkpoints.resolve(options.teacher)
    begun = checkpoints.resolve(options.student) if options.student else None
    files = options.data.files | {"teacher": directory / WEIGHTS_FILE}
    files |= {f"unlabelled:{path.name}": path for path in options.unlabelled}
    if begun is not None:
        files["student"] = begun / WEIGHTS_FILE
        checkpoints.check_vocabulary(directory, begun)
    description = runs.describe("task", options, files)
    if (done := runs.claim(options.out, description)) is not None:
        return done

    from ondevice.distill import engine
    from ondevice.distill.distiller import TaskDistiller, with_teacher
    from ondevice.distill.retention import retention
    from ondevice.distill.sources import read_sources, results

    engine.prepare(options.training)
    sources = read_sources(options.data, directory)
    head = sources.head
    # Eager attention alone can return its probabilities.
    attention = {"attn_implementation": "eager"} if options.weights.attention else {}
    teacher = checkpoints.load(
        directory,
        head.auto_class,
        dropout=options.training.dropout,
        complete=True,
        **head.config,
        **attention,
    )
    student, pairs = make_student(options, teacher, begun, head)
    if attention:
        student.set_attn_implementation("eager")
    engine.freeze(student, options.training)
    features = sources.training(options.unlabelled, options.pairs, options.training.seed)
    evaluation = sources.evaluation()
    key = description["sha256"]["teacher"]
    collate = None
    with engine.main_process_first():
        teacher_scores = _teacher_scores(options.cache, key, teacher, head, evaluation)
        if options.cache is not None and not options.weights.attention:
            layers = tuple(theirs for _, theirs in pairs) if options.weights.hidden else ()
            collate = with_teacher(
                head, _filled(options.cache, key, teacher, head, features.items, layers)
            )
    with engine.logging_to(options.out):
        trainer = TaskDistiller(
            student,
            engine.arguments(options.training, options.out, len(features)),
            head,
            features,
            sources.evaluation(options.training.eval_questions),
            budget=engine.budget(options.training, options.out),
            collate=collate,
            teacher=teacher if collate is None else None,
            pairs=pairs,
            weights=options.weights,
            temperature=options.temperature,
        )
    seconds = engine.run(trainer, options.out)
    scores = evaluation.score(student)
    kept = retention(scores.statistic, teacher_scores.statistic, len(scores.ids))
    result = results(scores) | {
        "teacher": results(teacher_scores),
        "retention": asdict(kept),
        "eval": options.data.eval_file.name,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
    }
    engine.finish(trainer, options.out, directory, result)
    return result


def make_student(
    options: TaskOptions, teacher: PreTrainedModel, begun: Path | None, head: TaskHead
) -> tuple[PreTrainedModel, tuple[tuple[int, int], ...]]:
    """Return the student and the (student layer, teacher layer) pairs that are compared.

    Raises:
        UserError: a given student has another depth than the layer choice, or another width.
    """
    from ondevice.distill.student import initialise, parse_layers

    depth = teacher.config.num_hidden_layers
    layers = parse_layers(options.layers, depth)
    if begun is None:
        student = initialise(teacher, layers, options.kind)
    else:
        student = checkpoints.load(
            begun, head.auto_class, dropout=options.training.dropout, **head.config
        )
    own = student.config.num_hidden_layers
    if options.compare == "last":
        pairs: tuple[tuple[int, int], ...] = ((own - 1, depth - 1),)
    elif own == len(layers):
        pairs = tuple(enumerate(layers))
    else:
        raise UserError(
            f"the student has {own} layers and --layers {options.layers} names {len(layers)} of "
            "the teacher's to compare them with; name as many, or give --compare last"
        )
    if options.weights.hidden and student.config.hidden_size != teacher.config.hidden_size:
        raise UserError(
            f"student and teacher have different widths ({student.config.hidden_size} and "
            f"{teacher.config.hidden_size}); give --hidden 0"
        )
    if options.weights.attention and (
        student.config.num_attention_heads != teacher.config.num_attention_heads
    ):
        raise UserError("student and teacher have different numbers of heads; give --attention 0")
    return student, pairs


def score(models: tuple[str, ...], data: DataOptions) -> dict[str, Any]:
    """Score checkpoints on `data.eval_file`; the first is what the others are compared with.

    For each of the others: retention in percent, and the difference in points, with paired
    intervals.
    """
    from ondevice.distill.retention import difference, retention
    from ondevice.distill.sources import read_sources, results

    found: dict[str, Any] = {}
    first = None
    for name in models:
        directory = checkpoints.resolve(name)
        sources = read_sources(data, directory)
        model = checkpoints.load(directory, sources.head.auto_class, complete=True)
        scores = sources.evaluation().score(model)
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


def _teacher_scores(
    cache: Path | None, key: str, teacher: PreTrainedModel, head: TaskHead, evaluation: Evaluation
) -> Any:
    if cache is None:
        return evaluation.score(teacher)
    filled = _filled(cache, key, teacher, head, evaluation.features, ())
    logits = [filled[index].logits for index in range(len(evaluation.features))]
    return head.score(evaluation.features, logits, evaluation.examples)


def _filled(
    directory: Path,
    key: str,
    teacher: PreTrainedModel,
    head: TaskHead,
    items: list[Feature],
    layers: tuple[int, ...],
) -> Any:
    """Return the cache of a teacher's outputs, complete."""
    from ondevice.distill.cache import TeacherCache
    from ondevice.distill.distiller import teacher_outputs

    cache = TeacherCache(directory, key, items, per_token=head.per_token, layers=layers)
    cache.fill(teacher_outputs(teacher, head, layers), width=teacher.config.hidden_size)
    return cache
