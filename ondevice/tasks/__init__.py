"""The tasks: what goes in, what comes out, and which checkpoint heads fit.

A new task is one new file in this package and one line in :data:`TASKS`.
"""

from __future__ import annotations

from ondevice.tasks.base import Task
from ondevice.tasks.classify import CLASSIFY
from ondevice.tasks.embed import EMBED
from ondevice.tasks.qa import QA
from ondevice.tasks.tokens import TOKENS

TASKS: dict[str, Task] = {
    "qa": QA,
    "classify": CLASSIFY,
    "tokens": TOKENS,
    "embed": EMBED,
}

__all__ = ["TASKS", "Task"]
