"""What training needs to know of each task: its data, its losses, its score.

A new task is one new file here, with a function `make`, and one line in :data:`HEADS`.
"""

from __future__ import annotations

# Where each task's head is. Only the module of the task that is trained is imported: it brings
# torch, and the command line's help reads this registry.
HEADS: dict[str, str] = {
    "qa": "ondevice.distill.heads.qa",
    "classify": "ondevice.distill.heads.classify",
    "tokens": "ondevice.distill.heads.tokens",
}
