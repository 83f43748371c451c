"""What checkpoints say of what they learned from, and what a card may claim."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice.distill import lineage


def write(directory: Path, name: str = "run.json", **record: object) -> Path:
    directory.mkdir()
    (directory / name).write_text(json.dumps(record))
    return directory


def test_a_checkpoint_and_those_before_it(tmp_path: Path) -> None:
    files = {"train:0": "a.json", "train:1": "a.json", "unlabelled:0": "b.json", "eval": "c.json"}
    hashes = {"train:0": "1", "train:1": "2", "unlabelled:0": "3", "eval": "4", "teacher:x": "5"}
    run = write(tmp_path / "run", files=files, sha256=hashes, ancestors=["6", "1"])
    assert lineage.own(lineage.record(run)) == {"a.json": "1", "train:1": "2", "b.json": "3"}
    assert lineage.trained_on(run) == {"1", "2", "3", "6"}


def test_a_publications_record_is_its_own(tmp_path: Path) -> None:
    published = write(
        tmp_path / "one", "training.json", files={"train:0": "a"}, sha256={"train:0": "1"}
    )
    (published / "run.json").write_text(json.dumps({"files": {}, "sha256": {}}))
    assert lineage.trained_on(published) == {"1"}


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_who_does_not_say_it_is_unknown(tmp_path: Path, text: str) -> None:
    silent = tmp_path / "silent"
    silent.mkdir()
    assert lineage.trained_on(silent) is None
    (silent / "training.json").write_text(text)
    assert lineage.trained_on(silent) is None
    known = write(tmp_path / "known", files={"train:0": "a"}, sha256={"train:0": "1"})
    assert lineage.ancestors([known]) == ["1"]
    assert lineage.ancestors([known, silent]) is None
    after = write(tmp_path / "after", files={}, sha256={}, ancestors=None)
    assert lineage.trained_on(after) is None


def test_a_foreign_record_without_files_says_nothing(tmp_path: Path) -> None:
    foreign = write(tmp_path / "foreign", "training.json", sha256={"train:0": "1"})
    assert lineage.own(lineage.record(foreign)) == {}


def test_a_student_says_of_which_layers_it_was_made(tmp_path: Path) -> None:
    def says(value: object) -> str | None:
        (tmp_path / "run.json").write_text(json.dumps(value))
        return lineage.layers(tmp_path, 6)

    assert says({"options": {"layers": "first-3"}}) == "first-3"
    # As it was meant when it was written.
    assert says({"options": {"layers": "every-other"}}) == "1,3,5"
    assert says({"averaged": [{"options": {"layers": "0,2"}}, {"options": None}]}) == "0,2"
    for nothing in ({}, {"options": None}, {"options": {"layers": 3}}, {"averaged": ["x"]}):
        assert says(nothing) is None


def test_data_of_a_hub_are_unknown(tmp_path: Path) -> None:
    files = {"train:0": "datasets:squad:validation", "eval": "dev.json"}
    fetched = write(tmp_path / "fetched", files=files, sha256={"eval": "1"}, ancestors=[])
    assert not lineage.tells_all(lineage.record(fetched))
    assert lineage.trained_on(fetched) is None
