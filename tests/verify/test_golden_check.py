"""Where a runtime and an interpreter are both at hand, they are held against each other."""

from __future__ import annotations

import dataclasses

import pytest

from ondevice import bundle, console
from ondevice.targets import TARGETS
from ondevice.verify import check, golden_check, runners
from ondevice.verify.mil import MilError, UnknownOpError
from tests.conftest import make_checkpoint
from tests.requirements import need
from tests.verify.broken import publish


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A Core ML bundle of two lengths."""
    need("coreml")
    root = tmp_path_factory.mktemp("golden")
    return publish(make_checkpoint(root / "tiny", "bert", "qa"), root / "out", "coreml", "fp16")


def verify(place):
    options = check.VerifyOptions(examples=1)
    _, rows = check.run(place, options, console.Progress())
    return [row for row in rows if row.check == golden_check.INTERPRETER]


@dataclasses.dataclass
class Stand:
    """Stands in for Core ML, which is not here: the interpreter with its outputs scaled."""

    inner: object
    scale: float
    runtime: str = "coremltools"
    version: str = "9.0"

    def run(self, inputs):
        return {role: value * self.scale for role, value in self.inner.run(inputs).items()}


def with_stand_in(monkeypatch, scale):
    def load(path, roles, **_):
        return Stand(runners.open_reference("coreml", path, roles), scale)

    target = dataclasses.replace(TARGETS["coreml"], load=load)
    monkeypatch.setitem(TARGETS, "coreml", target)


def test_both_agree(place, monkeypatch):
    with_stand_in(monkeypatch, 1.0)
    rows = verify(place)
    assert [(row.length, row.status, row.evidence) for row in rows] == [
        (16, "passed", "host"),
        (32, "passed", "host"),
    ]
    assert {row.runtime for row in rows} == {"coremltools"}


def test_a_difference_fails(place, monkeypatch):
    with_stand_in(monkeypatch, 1.5)
    assert {row.status for row in verify(place)} == {"failed"}


def test_without_the_runtime_it_did_not_run(place):
    if bundle.read_manifest(place).parity[0].evidence == "host":
        pytest.skip("Core ML is here")
    (row,) = verify(place)
    assert (row.status, row.evidence) == ("not_run", "not run")
    assert "not here" in row.reason


@pytest.mark.parametrize(
    ("error", "status"),
    [(UnknownOpError("einsum", "x"), "not_run"), (MilError("it has no value"), "failed")],
)
def test_an_interpreter_that_cannot_is_a_row(place, monkeypatch, error, status):
    with_stand_in(monkeypatch, 1.0)

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(golden_check, "check_interpreter", refuse)
    (row,) = verify(place)
    assert row.status == status
    assert str(error) in row.reason
