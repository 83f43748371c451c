"""Questions from end to end, with the checkpoint's own best answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ondevice import samples
from ondevice.golden_records import DECIMALS, AnswerRecord
from ondevice.goldens.spans import span_of
from ondevice.goldens.tokens import utf16_places
from ondevice.goldens.windows import options_for
from ondevice.inference import Reply, RunFunction, answer
from ondevice.manifest import WindowInfo
from ondevice.tasks import qa

if TYPE_CHECKING:
    from ondevice.schemes import ParityLimit
    from ondevice.tokenizer import TextTokenizer

ANSWERS = 5
# Questions that the checkpoint is asked, to keep the clearest of its answers.
CANDIDATES = 10
# Longer contexts only repeat what two windows show. Characters for each token of a window.
CONTEXT_CHARACTERS = 8

# A question with what the checkpoint replied.
Replied = tuple[qa.QAExample, Reply]


def ask(run: RunFunction, tokenizer: TextTokenizer, window: WindowInfo) -> list[Replied]:
    """Ask a checkpoint, as a function of model inputs, the candidates' questions.

    The replies serve all schemes and targets of a build.
    """
    options = options_for(window)
    return [
        (example, answer(run, tokenizer, example.question, example.context, options=options))
        for example in _candidates(window.max_length)
    ]


def answer_records(
    replies: Sequence[Replied], window: WindowInfo, limit: ParityLimit
) -> Iterator[AnswerRecord]:
    """Yield the questions that the checkpoint answers most clearly.

    One of several windows and one with text outside ASCII are among them, if there are any.
    """
    for example, reply in _clearest(replies):
        best, margin = reply.answers[0], _margin(reply)
        places = utf16_places(example.context)
        yield AnswerRecord(
            question=example.question,
            context=example.context,
            options=window,
            windows=len(reply.lengths),
            answer=span_of(best),
            utf16=(places[best.start], places[best.end]),
            margin=round(margin, DECIMALS),
            # Two spans are four logits, each of which may move by the limit.
            decisive=limit.max_abs is not None and margin > 4 * limit.max_abs,
        )


def _clearest(replies: Sequence[Replied]) -> list[Replied]:
    ordered = sorted(replies, key=lambda pair: -_margin(pair[1]))
    several = [pair for pair in ordered if len(pair[1].lengths) > 1][:1]
    strange = [pair for pair in ordered if not pair[0].context.isascii()][:1]
    chosen = {pair[0].id: pair for pair in [*several, *strange, *ordered]}
    return list(chosen.values())[:ANSWERS]


def _margin(reply: Reply) -> float:
    scores = [answer.score for answer in reply.answers[:2]]
    return scores[0] - scores[1] if len(scores) == 2 else 0.0


def _candidates(max_length: int) -> list[qa.QAExample]:
    """Return one question for each of some passages, at even distances, and a long passage."""
    size = CONTEXT_CHARACTERS * max_length
    by_passage: dict[str, qa.QAExample] = {}
    for example in qa.read_squad(samples.qa_path()):
        if example.answers[0].start + len(example.answers[0].text) <= size:
            by_passage.setdefault(example.context, example)
    kept = list(by_passage.values())
    longest = max(kept, key=lambda example: len(example.context))
    step = max(len(kept) // (CANDIDATES - 1), 1)
    chosen = {example.id: example for example in [longest, *kept[::step]]}
    return [
        qa.QAExample(example.id, example.question, example.context[:size], example.answers)
        for example in list(chosen.values())[:CANDIDATES]
    ]
