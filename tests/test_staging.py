"""Directories are replaced whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ondevice import staging
from ondevice.errors import UserError


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A directory that was put in its place."""
    place = tmp_path / "out" / "tiny"
    with staging.replacing(place) as staged:
        (staged / "old").write_text("old")
        (staged / "sub").mkdir()
        (staged / "sub" / "part").write_text("more")
    return place


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_was_put_there_is_whole_and_nothing_is_left_beside_it(published: Path) -> None:
    assert entries(published) == {"old", "sub"}
    assert (published / "sub" / "part").read_text() == "more"
    assert entries(published.parent) == {"tiny"}


def test_the_new_replaces_the_old(published: Path) -> None:
    with staging.replacing(published) as staged:
        (staged / "new").write_text("new")
    assert entries(published) == {"new"}
    assert entries(published.parent) == {"tiny"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_old(published: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), staging.replacing(published) as staged:
        (staged / "new").write_text("half")
        raise error
    assert entries(published) == {"old", "sub"}
    assert entries(published.parent) == {"tiny"}


def test_a_first_failure_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging.replacing(tmp_path / "new" / "deep" / "tiny"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(staging.os, "fsync", full)
    with (
        pytest.raises(UserError, match="the disk is full") as caught,
        staging.replacing(tmp_path / "out" / "tiny") as staged,
    ):
        (staged / "model").write_bytes(b"weights")
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_really_full_disk_is_one_sentence(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("not allowed to mount a file system here")
    try:
        with (
            pytest.raises(UserError, match="the disk is full"),
            staging.replacing(mount / "t") as staged,
        ):
            (staged / "model").write_bytes(b"x" * 1_000_000)
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    words = r"cannot write '.*/file/tiny': File exists; choose another --out$"
    with pytest.raises(UserError, match=words), staging.replacing(tmp_path / "file" / "tiny"):
        raise AssertionError("not reached")
    with (
        pytest.raises(UserError, match=r"File exists$"),
        staging.replacing(tmp_path / "file" / "tiny", remedy=""),
    ):
        raise AssertionError("not reached")


def test_a_link_stays_a_link(published: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(published)
    with staging.replacing(link) as staged:
        (staged / "new").write_text("new")
    assert link.is_symlink()
    assert entries(published) == {"new"}


def test_the_working_directory_can_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with staging.replacing(Path()) as staged:
        (staged / "new").write_text("new")
    assert entries(tmp_path / "here") == {"new"}
    assert entries(tmp_path) == {"here"}


def _hold(place: Path, ready: Any, release: Any) -> None:
    with staging.replacing(place) as staged:
        (staged / "first").write_text("first")
        ready.set()
        release.wait(60)


def test_a_second_process_at_the_same_place_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    place = tmp_path / "tiny"
    first = context.Process(target=_hold, args=(place, ready, release))
    first.start()
    assert ready.wait(60)
    words = "another process is writing .*; wait for it, or choose another --out"
    with pytest.raises(UserError, match=words), staging.replacing(place):
        raise AssertionError("not reached")
    release.set()
    first.join(60)
    assert first.exitcode == 0
    assert entries(place) == {"first"}, "the loser must not disturb the winner"
    assert entries(tmp_path) == {"tiny"}


def test_what_a_killed_process_left_does_not_stand_in_the_way(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    place = tmp_path / "tiny"
    first = context.Process(target=_hold, args=(place, ready, release))
    first.start()
    assert ready.wait(60)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join(60)
    assert not place.exists()
    assert entries(tmp_path) == {".tiny.partial"}
    with staging.replacing(place) as staged:
        assert list(staged.iterdir()) == []
    assert entries(tmp_path) == {"tiny"}


def test_one_killed_between_its_two_renames_is_mended_by_the_next(published: Path) -> None:
    # What is left then: the old directory aside, nothing in its place.
    published.rename(published.parent / ".tiny.old")
    with pytest.raises(RuntimeError), staging.replacing(published):
        raise RuntimeError
    assert entries(published) == {"old", "sub"}
    assert entries(published.parent) == {"tiny"}


def test_the_old_comes_back_if_the_new_cannot_take_its_place(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name == ".tiny.partial":
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with (
        pytest.raises(UserError, match="Permission denied"),
        staging.replacing(published) as staged,
    ):
        (staged / "new").write_text("new")
    assert entries(published) == {"old", "sub"}
    assert entries(published.parent) == {"tiny"}


def test_an_interrupt_after_the_rename_leaves_the_new(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> None:
        rename(self, target)
        if self.name == ".tiny.partial":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), staging.replacing(published) as staged:
        (staged / "new").write_text("new")
    assert entries(published) == {"new"}
    assert entries(published.parent) == {"tiny"}


def test_a_parent_that_vanishes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = staging._make_parents

    def vanish(directory: Path) -> list[Path]:
        made = make(directory)
        directory.rmdir()
        return made

    monkeypatch.setattr(staging, "_make_parents", vanish)
    with staging.replacing(tmp_path / "out" / "tiny") as staged:
        (staged / "new").write_text("new")
    assert entries(tmp_path / "out" / "tiny") == {"new"}


def test_others_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "model").write_bytes(b"weights")
    (tmp_path / "data" / "model").chmod(0o600)
    staging.make_readable(tmp_path)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "data" / "model").stat().st_mode & 0o777 == 0o644
