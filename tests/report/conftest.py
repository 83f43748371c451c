"""Reports of made-up results."""

from __future__ import annotations

import pytest

from ondevice.report import content, sources, study
from tests.report import made
from tests.requirements import need


def gather(*results):
    """Gather results as if each came from a file of its own."""
    return study.gather(
        sources.Document(made.sha(number, result.model_dump_json()), result)
        for number, result in enumerate(results)
    )


@pytest.fixture(scope="session")
def whole():
    """The whole made-up study, gathered."""
    return gather(*made.whole_study())


@pytest.fixture(scope="session")
def report(whole):
    """Its report, plots included."""
    need("report")
    return content.build(whole, published=True)
