"""Ask candidates, their checkpoints and the teacher the same questions; score what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ondevice import bundle, console, plan
from ondevice.errors import CheckpointError, UserError
from ondevice.search.candidates import Model
from ondevice.search.contender import Contender, compare
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
        longest: int,
        kept: Path,
        progress: console.Progress,
    ) -> None:
        """Keep what is needed.

        Args:
            workshop: runs what answers.
            models: the checkpoints of the candidates.
            teacher: None without one.
            longest: of the lengths of all candidates; checkpoints and teacher answer with it.
            kept: the directory of answers.
            progress: says who is asked.

        Raises:
            UserError: the teacher does not take so long an input.
        """
        if teacher is not None and teacher.checkpoint.encoder.max_length < longest:
            raise UserError(
                f"the teacher '{teacher.given}' takes {teacher.checkpoint.encoder.max_length}"
                f" tokens at most, the candidates {longest}"
            )
        self._workshop = workshop
        self._models = {model.label: model for model in models}
        self.teacher = teacher
        self._window = QAOptions.for_length(longest)
        self._kept = kept
        self._progress = progress

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
        one.figures = compare(
            replies.answers(examples),
            self.answers_of(self._models[one.candidate.model], examples),
            None if self.teacher is None else self.answers_of(self.teacher, examples),
            examples,
        )

    def answers_of(self, model: Model, examples: Sequence[QAExample]) -> dict[str, Answered]:
        """Return what a checkpoint answers in PyTorch, in float32.

        Raises:
            CheckpointError: it cannot be run.
        """
        checkpoint = model.checkpoint
        replies = Replies(self._kept, self._checkpoint_key(model))
        opening = {"kind": "torch", "model": model.given, "task": checkpoint.task}
        lengths = [*range(STEP, self._window.max_length, STEP), self._window.max_length]
        try:
            with self._progress.step(f"{model.label} in PyTorch: questions") as tell:
                self._workshop.ask(opening, self._window, lengths, examples, replies, tell)
        except (AbsentError, BrokenError) as error:
            raise CheckpointError(f"PyTorch cannot run '{model.given}': {error}") from error
        return replies.answers(examples)

    def _checkpoint_key(self, model: Model) -> str:
        checkpoint = model.checkpoint
        tokenizer = hashlib.sha256(checkpoint.tokenizer.json().encode()).hexdigest()
        packages = ("torch", "transformers", "tokenizers", "numpy")
        return key_of(
            {
                "weights": checkpoint.sha256,
                "config": bundle.hash_file(checkpoint.directory / "config.json"),
                "tokenizer": tokenizer,
                "window": asdict(self._window),
                "tools": {name: plan.installed_version(name) for name in packages},
                "code": plan.code_hash(),
            }
        )
