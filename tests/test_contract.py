"""The schemas of the contract: what lies in the repository is what the types say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice import contract

REPOSITORY = Path(__file__).parents[1]


def test_the_committed_schemas_are_the_types():
    assert contract.stale(REPOSITORY / contract.DIRECTORY) == []


@pytest.mark.parametrize("name", contract.SCHEMAS)
def test_a_schema_that_drifts_is_named_and_mended(name, tmp_path, capsys):
    assert contract.main(["--out", str(tmp_path)]) == 0
    assert contract.main(["--out", str(tmp_path), "--check"]) == 0
    schema = json.loads((tmp_path / name).read_text(encoding="utf-8"))
    assert schema["$schema"].endswith("2020-12/schema")
    (tmp_path / name).write_text("{}", encoding="utf-8")
    assert contract.main(["--out", str(tmp_path), "--check"]) == 3
    assert name in capsys.readouterr().err
    (tmp_path / name).unlink()
    assert contract.stale(tmp_path) == [name]


def test_a_directory_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert contract.main(["--out", str(tmp_path / "absent")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_every_field_of_a_benchmark_says_what_it_is():
    schema = json.loads(contract.generate("benchmark.schema.json"))
    records = [schema, *schema["$defs"].values()]
    for record in records:
        for name, field in record["properties"].items():
            assert field.get("description"), (record["title"], name)
        assert record["additionalProperties"] is False
