"""The best artifact that an app can afford: ``python -m ondevice.search``.

Candidates are every model, target, scheme and set of lengths that go together. All are built, each
in a process that may crash; then, target by target, they answer a growing share of the questions,
and those that could not be chosen any more leave (:mod:`ondevice.search.halving`). What stays is
timed, and one is chosen (:mod:`ondevice.search.choice`). Bundles, answers and times are kept by
their content, so that the same command goes on where it was interrupted.
"""

from ondevice.search.budget import Budget
from ondevice.search.options import DEFAULT_OUT, REFERENCE_QUESTIONS, SearchOptions

__all__ = ["DEFAULT_OUT", "REFERENCE_QUESTIONS", "Budget", "SearchOptions"]
