"""What training needs to know of each task: its data, its losses, its score.

A new task is one new file here and one line in :data:`HEADS`.
"""

from __future__ import annotations

from ondevice.distill.heads.base import Batch, Feature, Features, Scores, TaskHead
from ondevice.distill.heads.classify import ClassifyHead
from ondevice.distill.heads.qa import QAHead
from ondevice.distill.heads.tokens import TokensHead

HEADS: dict[str, type[TaskHead]] = {
    "qa": QAHead,
    "classify": ClassifyHead,
    "tokens": TokensHead,
}

__all__ = ["HEADS", "Batch", "Feature", "Features", "Scores", "TaskHead"]
