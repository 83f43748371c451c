"""The sample questions, asked of an artifact or a graph beside the checkpoint in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ondevice import graph, samples
from ondevice.calibration import spread
from ondevice.inference import RunFunction, answer
from ondevice.models import Checkpoint
from ondevice.tasks import qa, qa_scores

# Of :func:`cells`.
HEADERS = ("max abs", "cosine", "F1", "F1 drop", "flips")


class Questions:
    """The sample questions, and what the graph in float32 says to each."""

    def __init__(self, checkpoint: Checkpoint, length: int, count: int) -> None:
        self.checkpoint, self.length = checkpoint, length
        self.examples = spread(qa.read_squad(samples.qa_path()), count)
        made = graph.from_checkpoint(checkpoint, max_length=length)
        self.logits: list[np.ndarray] = []
        self.scores = self.ask(lambda inputs: run_graph(made, inputs), self.logits)

    def ask(self, run: RunFunction, logits: list[np.ndarray]) -> qa_scores.AnswerScores:
        """Score a model's answers; keep its logits of tokens that are not padding.

        Raises:
            DataError: the logits are not finite.
        """

        def keeping(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            outputs = run(inputs)
            valid = int(inputs["attention_mask"].sum())
            logits.append(np.concatenate([outputs[role][0, :valid] for role in qa.QA.roles]))
            return outputs

        options = qa.QAOptions.for_length(self.length)
        answers = {}
        for example in self.examples:
            reply = answer(
                keeping,
                self.checkpoint.tokenizer,
                example.question,
                example.context,
                options=options,
                lengths=(self.length,),
            )
            best = reply.answers[0]
            answers[example.id] = best.text, (best.start, best.end)
        return qa_scores.score_answers(answers, self.examples)

    def held_against(
        self, scores: qa_scores.AnswerScores, logits: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """Return how far what :meth:`ask` gave is from the graph in float32."""
        ours, theirs = np.concatenate(logits), np.concatenate(self.logits)
        drop = qa_scores.drop(scores.f1, self.scores.f1)
        flipped = qa_scores.flipped(scores.places, self.scores.places)
        return {
            "max_abs": float(np.abs(ours - theirs).max()),
            "cosine": float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)),
            "f1": 100 * float(scores.f1.mean()),
            "f1_drop": {"value": drop.value, "low": drop.low, "high": drop.high},
            "flips_percent": qa_scores.percent(flipped),
        }


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what :meth:`Questions.held_against` found, as cells of a table."""
    drop = row["f1_drop"]
    return (
        f"{row['max_abs']:.3f}",
        f"{row['cosine']:.5f}",
        f"{row['f1']:.2f}",
        f"{drop['value']:.2f} [{drop['low']:.2f}, {drop['high']:.2f}]",
        f"{row['flips_percent']:.1f} %",
    )


def run_graph(made: graph.MobileGraph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a graph in torch."""
    import torch

    tensors = (torch.from_numpy(np.asarray(inputs[name])) for name in made.inputs)
    return {
        role: output.numpy()
        for role, output in zip(made.outputs, made.module(*tensors), strict=True)
    }
