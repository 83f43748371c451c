"""What one task distillation works with: the data, the teacher, and the student that begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.distill import checkpoints
from ondevice.distill.options import TaskOptions
from ondevice.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.distill.heads.base import Features, TaskHead
    from ondevice.distill.sources import Sources
    from ondevice.distill.trainer import Evaluation


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one task distillation works with, loaded.

    Attributes:
        teacher_key: covers the teacher's weights and configuration.
        pairs: the (student layer, teacher layer) pairs that are compared.
        evaluation: what teacher and student are scored on at the end.
    """

    sources: Sources
    teacher: PreTrainedModel
    teacher_key: str
    student: PreTrainedModel
    pairs: tuple[tuple[int, int], ...]
    features: Features
    evaluation: Evaluation

    @property
    def head(self) -> TaskHead:
        """Return the task as training sees it."""
        return self.sources.head


def load(options: TaskOptions, directory: Path, begun: Path | None, key: str) -> Lesson:
    """Read the data and both models."""
    from ondevice.distill import engine
    from ondevice.distill.sources import read_sources

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
    engine.adapt(student, options.training)
    return Lesson(
        sources=sources,
        teacher=teacher.to(engine.connect()),
        teacher_key=key,
        student=student,
        pairs=pairs,
        features=sources.training(
            options.unlabelled, options.pairs, options.crops, options.training.seed
        ),
        evaluation=sources.evaluation(),
    )


def make_student(
    options: TaskOptions, teacher: PreTrainedModel, begun: Path | None, head: TaskHead
) -> tuple[PreTrainedModel, tuple[tuple[int, int], ...]]:
    """Return the student and the (student layer, teacher layer) pairs that are compared.

    Raises:
        UserError: layers are compared, and a given student has another depth than the choice or
            another width; or it has other classes.
    """
    from ondevice.distill.student import initialise, parse_layers

    depth = teacher.config.num_hidden_layers
    if begun is None:
        student = initialise(teacher, parse_layers(options.layers, depth), options.kind)
    else:
        check_labels(begun, head)
        student = checkpoints.load(
            begun, head.auto_class, dropout=options.training.dropout, **head.config
        )
    matched = options.weights.hidden or options.weights.attention
    pairs = pair_layers(options, student.config.num_hidden_layers, depth) if matched else ()
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


def pair_layers(options: TaskOptions, own: int, depth: int) -> tuple[tuple[int, int], ...]:
    """Return the (student layer, teacher layer) pairs that the hidden and attention losses see.

    Args:
        options: `compare` and, where that is `all`, `layers`.
        own: the student's layers.
        depth: the teacher's.

    Raises:
        UserError: the choice is none, or names another number of layers than the student has.
    """
    from ondevice.distill.student import parse_layers

    if options.compare == "last":
        return ((own - 1, depth - 1),)
    option, text = (
        ("--layers", options.layers) if options.compare == "all" else ("--compare", options.compare)
    )
    try:
        layers = parse_layers(text, depth)
    except UserError as error:
        raise UserError(f"{option}: {error}") from error
    if len(layers) != own:
        raise UserError(
            f"the student has {own} layers and {option} {text} names {len(layers)} of the teacher's"
            " to compare them with; name as many with --compare, or give --compare last"
        )
    return tuple(enumerate(layers))


def check_labels(begun: Path, head: TaskHead) -> None:
    """Refuse a student that numbers the classes in another way than its teacher."""
    theirs = checkpoints.read_labels(begun, head.auto_class.removeprefix("AutoModel"))
    if not head.labels or theirs is None or theirs == head.labels:
        return
    if theirs != tuple(f"LABEL_{number}" for number in range(len(head.labels))):
        raise CheckpointError(
            f"the student in {begun} tells apart {', '.join(theirs)}, its teacher "
            f"{', '.join(head.labels)}; both need the same classes in the same order"
        )
