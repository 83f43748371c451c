"""A run's identity: what was read and set, not how it was typed or where it lay."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ondevice import cli
from ondevice.distill import runs
from ondevice.distill.options import DataOptions, FinetuneOptions, TrainOptions
from ondevice.errors import DataError, UserError


def describe(out: Path, model: str, *train: Path, **training: Any) -> dict[str, Any]:
    data = DataOptions(tuple(train), train[0].parent / "eval.tsv", task="classify")
    options = FinetuneOptions(model, data, out, TrainOptions(**training))
    return runs.describe("finetune", options, data.files)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two directories with training files of the same name."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.tsv").write_text(name)
        (tmp_path / name / "eval.tsv").write_text("eval")
    return tmp_path / "a", tmp_path / "b"


def test_files_of_the_same_name_are_all_hashed(folders: tuple[Path, Path], tmp_path: Path) -> None:
    train = [folder / "train.tsv" for folder in folders]
    before = describe(tmp_path / "out", "m", *train)
    assert set(before["sha256"]) == {"train:0", "train:1", "eval"}
    for file in train:
        old = file.read_text()
        file.write_text("other")
        assert describe(tmp_path / "out", "m", *train)["identity"] != before["identity"]
        file.write_text(old)
    assert describe(tmp_path / "out", "m", *train)["identity"] == before["identity"]
    turned = describe(tmp_path / "out", "m", *reversed(train))
    assert turned["identity"] != before["identity"]


def test_typing_does_not_matter(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = describe(tmp_path / "out", "minilm", folders[0] / "train.tsv")
    monkeypatch.chdir(folders[0])
    relative = describe(Path("elsewhere"), "./a/dir", Path("train.tsv"), log_every=3)
    assert relative["identity"] == absolute["identity"]
    shutil.move(folders[0], tmp_path / "moved")
    moved = describe(tmp_path / "out", "minilm", tmp_path / "moved" / "train.tsv")
    assert moved["identity"] == absolute["identity"]
    other = describe(tmp_path / "out", "minilm", tmp_path / "moved" / "train.tsv", seed=7)
    assert other["identity"] != absolute["identity"]


def test_the_number_of_processes_matters(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = describe(tmp_path / "out", "m", folders[0] / "train.tsv")
    monkeypatch.setenv("WORLD_SIZE", "2")
    two = describe(tmp_path / "out", "m", folders[0] / "train.tsv")
    assert one["identity"] != two["identity"]
    assert (one["processes"], two["processes"]) == (1, 2)


def test_remote_names_are_part_of_the_identity(folders: tuple[Path, Path], tmp_path: Path) -> None:
    local = folders[0] / "train.tsv"
    one = describe(tmp_path / "out", "m", local, Path("datasets:glue/sst2:train"))
    two = describe(tmp_path / "out", "m", local, Path("datasets:glue/cola:train"))
    assert one["files"]["train:1"] == "datasets:glue/sst2:train"
    assert one["identity"] != two["identity"]


def test_no_place_is_written_down(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = folders[0] / "train.tsv"
    typed = ["finetune", "--train", str(train), f"--out={tmp_path / 'out'}", "--seed", "1"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ondevice", "distill", *typed])
    record = describe(tmp_path / "out", str(tmp_path / "teacher"), train)
    assert str(tmp_path) not in json.dumps(record)
    assert sys.executable not in json.dumps(record)
    assert record["options"]["model"] == "teacher"
    expected = ["finetune", "--train", "train.tsv", "--out=out", "--seed", "1"]
    assert record["command"] == ["ondevice", "distill", *expected]
    monkeypatch.setattr(sys, "argv", ["script.py"])
    assert describe(tmp_path / "out", "m", train)["command"] is None


def test_absent_files_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv does not exist"):
        describe(tmp_path / "out", "m", folders[0] / "train.tsv", tmp_path / "absent.tsv")


@pytest.mark.parametrize(
    "words",
    [
        ["score", "teacher", "--eval"],
        ["finetune", "--model", "teacher", "--eval", __file__, "--out", "o", "--train"],
        ["task", "--teacher", "teacher", "--eval", __file__, "--out", "o", "--train"],
        ["pretrain", "--teacher", "teacher", "--out", "o", "--corpus"],
    ],
    ids=lambda words: words[0],
)
def test_absent_files_are_named_before_anything_slow_is_imported(
    words: list[str], tmp_path: Path
) -> None:
    words = [*words, str(tmp_path / "absent.json")]
    code = (
        "import sys; from ondevice import cli;"
        " print(cli.main(sys.argv[1:]), 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "distill", *words], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["2", "False"]
    assert result.stderr.endswith("absent.json does not exist\n")


def test_what_json_does_not_know_is_null(tmp_path: Path) -> None:
    value = {"retention": {"value": float("nan"), "low": 1.0}, "all": (float("inf"), 2)}
    runs.write_json(tmp_path / "a.json", value)
    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert found == {"retention": {"value": None, "low": 1.0}, "all": [None, 2]}


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_first_process_alone_prints(
    rank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "RANK", rank)
    monkeypatch.setattr("ondevice.distill.cli._score", lambda _: {"value": float("nan")})
    assert cli.main(["distill", "score", "minilm", "--eval", "x.json", "--json"]) == 0
    assert capsys.readouterr().out == ('{"value": null}\n' if rank == "0" else "")


@dataclass(frozen=True)
class Options:
    """What a run writes to."""

    out: Path


def test_one_process_at_a_time_writes_a_run(tmp_path: Path) -> None:
    """The same command typed twice is how a run is resumed: easily too early."""
    out, description = tmp_path / "out", {"identity": "a"}
    claims = (
        "from pathlib import Path; from ondevice.distill import runs; import sys\n"
        "from ondevice.errors import UserError\n"
        "try: runs.claim(Path(sys.argv[1]), {'identity': 'a'}); print('claimed')\n"
        "except UserError as error: print(error)"
    )

    def elsewhere() -> str:
        words = [sys.executable, "-c", claims, str(out)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    @runs.releasing
    def train(options: Options) -> str:
        runs.claim(options.out, description)
        return elsewhere()

    for _ in range(2):
        assert train(Options(out)).startswith(f"another process is writing '{out}' now; wait")
        assert elsewhere() == "claimed"


def test_a_damaged_checkpoint_is_left_for_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (10, 20):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        save_file({"a": np.zeros(64, np.float32)}, folder / "model.safetensors")
        with zipfile.ZipFile(folder / "optimizer.pt", "w") as archive:
            archive.writestr("data.pkl", b"0" * 64)
        (folder / "trainer_state.json").write_text("{}")
    newest = tmp_path / "checkpoints" / "checkpoint-20"
    assert runs.last_checkpoint(tmp_path) == newest
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert runs.last_checkpoint(tmp_path) == newest.with_name("checkpoint-10")
    assert "checkpoint-20 is damaged, and removed" in caplog.text
    assert not newest.exists()
    optimizer = newest.with_name("checkpoint-10") / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:30])
    assert runs.last_checkpoint(tmp_path) is None


def test_a_cache_is_a_directory_of_its_own(tmp_path: Path) -> None:
    runs.check_cache(tmp_path / "absent")
    runs.check_cache(tmp_path)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files than a teacher's outputs; give --cache"):
        runs.check_cache(tmp_path)
    with pytest.raises(UserError, match=r"thesis\.txt is a file; give a directory"):
        runs.check_cache(tmp_path / "thesis.txt")
    (tmp_path / f"{'0a' * 16}.logits.npy").write_bytes(b"")
    runs.check_cache(tmp_path)


def test_without_the_extra_one_sentence_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["distill", "score", "teacher", "--eval", __file__]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ondevice: the package 'accelerate' is not installed; type: pip install")
    assert "[distill]" in said


def test_what_a_killed_start_has_left_stays_the_runs(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Its directory is not taken for one of somebody else when a second start breaks off early."""
    out = tmp_path / "out"
    description = describe(out, "m", folders[0] / "train.tsv")

    def claim() -> None:
        assert runs.claim(out, description) is None
        runs._HELD.pop(out.resolve()).close()

    claim()
    (out / "logs").mkdir()
    with pytest.raises(DataError), runs.preparing(out):
        raise DataError("bad")
    claim()
    (out / "logs").rmdir()
    with pytest.raises(DataError), runs.preparing(out):
        raise DataError("bad")
    assert not out.exists()
