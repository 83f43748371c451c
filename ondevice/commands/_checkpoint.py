"""The arguments by which several commands name a checkpoint."""

from __future__ import annotations

import argparse

from ondevice.models import DEFAULT_MODEL, EMBEDDED
from ondevice.tasks import TASKS

WHICH = f"{', '.join(EMBEDDED)}, a checkpoint directory, or a hub id"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--model`` and ``--task`` of a command that takes one checkpoint."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help=f"{WHICH} (default: %(default)s)",
    )
    parser.add_argument(
        "--task",
        default="auto",
        metavar="NAME",
        help=f"auto, {', '.join(TASKS)} (default: %(default)s, from the checkpoint's head)",
    )
