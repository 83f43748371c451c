"""Ask candidates, their checkpoints and the teacher the same questions; score what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ondevice import bundle, console, plan
from ondevice.errors import CheckpointError, UserError
from ondevice.models import Checkpoint
from ondevice.search.candidates import Model, identity
from ondevice.search.contender import Contender, Figures, compare
from ondevice.search.replies import Replies, key_of
from ondevice.search.workshop import AbsentError, BrokenError, Workshop
from ondevice.tasks.qa import QAExample, QAOptions
from ondevice.tasks.qa_scores import Answered

# PyTorch takes any length; padded to multiples of this, few shapes have to be made ready.
STEP = 16


class Judge:
    """Answers of everyone to the questions of a search, each asked once and kept."""

    def __init__(
        self,
        workshop: Workshop,
        models: Sequence[Model],
        teacher: Model | None,
        longest: Mapping[str, int],
        kept: Path,
        progress: console.Progress,
    ) -> None:
        """Keep what is needed.

        Args:
            workshop: runs what answers.
            models: the checkpoints of the candidates.
            teacher: None without one.
            longest: by model, of the lengths of its candidates: what its checkpoint answers with;
                the teacher answers with the longest of all.
            kept: the directory of answers.
            progress: says who is asked.

        Raises:
            UserError: the teacher does not take so long an input.
        """
        served = max(longest.values())
        if teacher is not None and teacher.checkpoint.encoder.max_length < served:
            raise UserError(
                f"the teacher '{teacher.given}' takes {teacher.checkpoint.encoder.max_length}"
                f" tokens at most, the candidates {served}"
            )
        self._workshop = workshop
        self._models = {model.label: model for model in models}
        self._teacher = teacher
        self._longest = longest
        self._kept = kept
        self._progress = progress

    def own(self, model: Model, examples: Sequence[QAExample]) -> Figures:
        """Return the figures of a checkpoint itself, unrounded, beside the teacher's.

        Raises:
            CheckpointError: it or the teacher cannot be run.
        """
        answers = self._answers_of(model, self._longest[model.label], examples)
        return compare(answers, answers, self._teachers(examples), examples)

    def _teachers(self, examples: Sequence[QAExample]) -> dict[str, Answered] | None:
        if self._teacher is None:
            return None
        return self._answers_of(self._teacher, max(self._longest.values()), examples)

    def judge(self, one: Contender, examples: Sequence[QAExample]) -> None:
        """Ask a candidate, and put its figures into it; one that cannot be run leaves.

        Raises:
            CheckpointError: the checkpoint or the teacher cannot be run.
        """
        assert one.place is not None
        manifest = bundle.read_manifest(one.place)
        replies = Replies(
            self._kept, key_of({"bundle": manifest.content_key, "is": manifest.artifact.sha256})
        )
        opening = {"kind": "bundle", "directory": str(one.place.resolve())}
        window = QAOptions(**manifest.window.model_dump())
        try:
            title = f"{one.candidate.target} {one.candidate.label}: questions"
            with self._progress.step(title) as tell:
                self._workshop.ask(
                    opening, window, manifest.artifact.lengths, examples, replies, tell
                )
        except AbsentError as error:
            one.leave("not run", str(error))
            return
        except BrokenError as error:
            one.leave("failed", str(error))
            return
        assert replies.source is not None
        one.evidence = replies.source.evidence
        one.runtime = f"{replies.source.runtime} {replies.source.version}"
        name = one.candidate.model
        one.figures = compare(
            replies.answers(examples),
            self._answers_of(self._models[name], self._longest[name], examples),
            self._teachers(examples),
            examples,
        )

    def _answers_of(
        self, model: Model, longest: int, examples: Sequence[QAExample]
    ) -> dict[str, Answered]:
        """Return what a checkpoint answers in PyTorch, in float32, with windows of `longest`.

        Raises:
            CheckpointError: it cannot be run.
        """
        checkpoint = model.checkpoint
        window = QAOptions.for_length(longest)
        replies = Replies(self._kept, _checkpoint_key(checkpoint, window))
        opening = {"kind": "torch", "model": model.given, "task": checkpoint.task}
        lengths = [*range(STEP, longest, STEP), longest]
        try:
            with self._progress.step(f"{model.label} in PyTorch: questions") as tell:
                self._workshop.ask(opening, window, lengths, examples, replies, tell)
        except (AbsentError, BrokenError) as error:
            raise CheckpointError(f"PyTorch cannot run '{model.given}': {error}") from error
        return replies.answers(examples)


def _checkpoint_key(checkpoint: Checkpoint, window: QAOptions) -> str:
    """Return the hash of what decides a checkpoint's answers."""
    packages = ("torch", "transformers", "tokenizers", "numpy")
    return key_of(
        {
            "checkpoint": identity(checkpoint),
            "window": asdict(window),
            "tools": {name: plan.installed_version(name) for name in packages},
            "code": plan.code_hash(),
        }
    )
