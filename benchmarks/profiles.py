"""What the runtimes' profiles are turned into, for ``operations.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

# Runs before those that count.
WARMUP = 3


def as_records(time: Counter[str], count: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a record for each kind of operator, the most expensive first.

    Args:
        time: milliseconds a run.
        count: how often a run has it.
    """
    whole = sum(time.values())
    return [
        {
            "operator": name,
            "count": float(count[name]),
            "ms": spent,
            "share": spent / whole if whole else 0.0,
            "gflops": None,
        }
        for name, spent in time.most_common()
    ]
