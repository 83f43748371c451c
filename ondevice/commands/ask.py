"""``ondevice ask``: a bundle answers a question from a text."""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import bundle, console
from ondevice.errors import DataError, UserError

if TYPE_CHECKING:
    from ondevice.inference import Model, Reply
    from ondevice.manifest import Manifest
    from ondevice.tasks.qa import Answer

# Code points of the text shown on either side of an answer.
AROUND = 40
# What someone types who means a file: one word with a text file's ending.
_FILE_NAME = re.compile(r"\S+\.(txt|text|md|rst)", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ondevice ask``."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    parser.add_argument("--question", required=True, metavar="TEXT", help="what to ask")
    parser.add_argument(
        "--context",
        required=True,
        metavar="TEXT|FILE",
        help="the text that holds the answer, or a UTF-8 file with it; of any length",
    )
    parser.add_argument(
        "--top", type=int, default=1, metavar="N", help="answers to show (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads (default: the runtime's choice)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Ask, print the answers, and return the exit code."""
    for name in ("top", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    context = read_context(arguments.context)
    if not arguments.question.strip():
        raise UserError("the question is empty; type one after --question")
    if not context.strip():
        raise UserError("the context is empty; give a text, or a file that holds one")
    for what, text in (("question", arguments.question), ("context", context)):
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise UserError(f"the {what} is not UTF-8 text; give it in that encoding")
    _check_task(bundle.read_manifest(arguments.bundle), arguments.bundle)

    from ondevice.inference import Model

    model = Model.open(arguments.bundle, threads=arguments.threads)
    reply = model.ask(arguments.question, context)
    shown = reply.answers[: arguments.top]
    if arguments.json:
        document = _document(arguments, model, reply, shown, context)
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(_text(model, reply, shown, context) + "\n")
    return 0


def read_context(given: str) -> str:
    """Return the text of a file if `given` names one, else `given` itself.

    Line ends stay as they are, so that places count the file's own code points; a byte order
    mark is no part of the text.

    Raises:
        DataError: the file cannot be read, or is not UTF-8.
        UserError: it names a directory, or looks like a file that is not there.
    """
    path = Path(given)
    try:
        is_file, is_directory = path.is_file(), bool(given) and path.is_dir()
    except (OSError, ValueError):  # too long for a file's name, or a NUL in it: it is a text
        return given
    if is_directory:
        raise UserError(f"'{given}' is a directory; give a text file, or the text itself")
    if not is_file:
        if _FILE_NAME.fullmatch(given):
            raise UserError(f"no file '{given}'; give a file that exists, or the text itself")
        return given
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read '{given}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{given}' is not UTF-8 text (byte {error.start})") from error


def _check_task(manifest: Manifest, directory: Path) -> None:
    """Refuse another task's bundle before its artifact is loaded."""
    if manifest.task != "qa":
        raise UserError(
            f"'{directory}' is a bundle of the task '{manifest.task}'; asking needs one of the"
            " task 'qa': build a checkpoint with a question-answering head"
        )


def snippet(context: str, answer: Answer) -> tuple[str, str]:
    """Return what stands before and after an answer, at most :data:`AROUND` code points each."""
    before = context[max(answer.start - AROUND, 0) : answer.start]
    return before, context[answer.end : answer.end + AROUND]


def _document(
    arguments: argparse.Namespace,
    model: Model,
    reply: Reply,
    shown: tuple[Answer, ...],
    context: str,
) -> dict[str, Any]:
    answers = []
    for answer in shown:
        before, after = snippet(context, answer)
        answers.append(
            {
                "text": answer.text,
                "start": answer.start,
                "end": answer.end,
                "before": before,
                "after": after,
                "score": round(answer.score, 6),
                "probability": round(answer.probability, 6),
            }
        )
    timing = reply.timing
    stages = {"tokenize": timing.tokenize, "infer": timing.infer, "decode": timing.decode}
    return {
        "bundle": str(arguments.bundle),
        "question": arguments.question,
        "answers": answers,
        "context_code_points": len(context),
        "windows": list(reply.lengths),
        "timing_ms": {stage: round(value, 3) for stage, value in stages.items()},
        "target": model.manifest.artifact.target,
        "scheme": model.manifest.artifact.scheme,
        "runtime": model.runner.runtime,
        "version": model.runner.version,
    }


def _text(model: Model, reply: Reply, shown: tuple[Answer, ...], context: str) -> str:
    best, timing = shown[0], reply.timing
    before, after = snippet(context, best)
    left = "…" if best.start > AROUND else ""
    right = "…" if len(context) - best.end > AROUND else ""
    lengths = ", ".join(map(str, reply.lengths))
    windows = "1 window" if len(reply.lengths) == 1 else f"{len(reply.lengths)} windows"
    lines = [
        f"answer  {_visible(best.text)}",
        f"place   code points {best.start} to {best.end} of {len(context)}:"
        f" {left}{_visible(before)}[{_visible(best.text)}]{_visible(after)}{right}",
        f"score   {best.score:.3f}, probability {best.probability:.3f}"
        f" among the {len(reply.answers)} best",
        f"time    tokenize {timing.tokenize:.1f} ms, infer {timing.infer:.1f} ms,"
        f" decode {timing.decode:.1f} ms ({windows} of {lengths} tokens; one run, not warmed up)",
        f"ran on  {model.runner.runtime} {model.runner.version}"
        f" ({model.manifest.artifact.target}, {model.manifest.artifact.scheme})",
    ]
    if len(shown) > 1:
        rows = [
            (
                f"{answer.score:.3f}",
                f"{answer.probability:.3f}",
                f"{answer.start}–{answer.end}",
                _visible(answer.text),
            )
            for answer in shown
        ]
        lines += ["", console.table(("score", "probability", "place", "answer"), rows)]
    return "\n".join(lines)


def _visible(text: str) -> str:
    """Return text for one line of a terminal: control characters become spaces."""
    return "".join(" " if unicodedata.category(char) in {"Cc", "Zl"} else char for char in text)
