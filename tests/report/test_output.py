"""The report's directory: whole or not at all, and nobody else's."""

from __future__ import annotations

import pytest

from ondevice.errors import UserError
from ondevice.report import content, output
from tests.report import made
from tests.report.conftest import gather


@pytest.fixture(scope="module")
def plain():
    """A report without plots."""
    return content.build(gather(made.result()), draw=False)


def everything(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_report_is_written_with_its_list_of_files(report, tmp_path):
    files = output.write(report, tmp_path / "deep" / "out")
    found = everything(tmp_path / "deep" / "out")
    assert set(found) == set(files)
    assert {"report.md", "report.html", "report.json", "plots/device-1-latency-dark.svg"} <= set(
        found
    )
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_the_same_report_gives_the_same_bytes(report, whole, tmp_path):
    output.write(report, tmp_path / "one")
    again = content.build(gather(*made.whole_study()), published=True)
    output.write(again, tmp_path / "two")
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_an_earlier_report_is_replaced_whole(report, plain, tmp_path):
    place = tmp_path / "out"
    output.write(report, place)
    files = output.write(plain, place)
    assert set(everything(place)) == set(files)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_directory_is_taken(plain, tmp_path):
    (tmp_path / "out").mkdir()
    output.write(plain, tmp_path / "out")
    assert (tmp_path / "out" / "report.md").is_file()


@pytest.mark.parametrize(
    "content",
    [{"notes.txt": "mine"}, {"report.json": "{}"}, {"report.json": "["}, {"report.json": "[1]"}],
    ids=["other files", "another report.json", "no JSON", "a list"],
)
def test_a_directory_of_others_is_left_alone(content, plain, tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    for name, text in content.items():
        (place / name).write_text(text)
    before = everything(place)
    with pytest.raises(UserError, match="is not an earlier report, so it is left alone"):
        output.write(plain, place)
    assert everything(place) == before


def test_a_file_is_left_alone(plain, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="is not an earlier report"):
        output.write(plain, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_what_was_added_to_a_report_is_not_lost(plain, tmp_path):
    place = tmp_path / "out"
    output.write(plain, place)
    (place / "plots").mkdir()
    (place / "plots" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"'plots/notes.txt' in it is not of it"):
        output.write(plain, place)
    assert (place / "plots" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("fails", ["render", "rename"])
def test_a_failed_write_leaves_the_earlier_report(fails, plain, tmp_path, monkeypatch):
    place = tmp_path / "out"
    output.write(plain, place)
    before = everything(place)

    def broken(*arguments):
        raise OSError(28, "No space left on device")

    if fails == "render":
        monkeypatch.setattr(output.page, "render", broken)
    else:
        rename = type(place).rename

        def rename_once(path, target):
            # The earlier report is put aside, then the new one cannot be renamed into place.
            return broken() if path.name == ".out.partial" else rename(path, target)

        monkeypatch.setattr(type(place), "rename", rename_once)
    with pytest.raises(UserError, match="the disk is full"):
        output.write(plain, place)
    assert everything(place) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_cannot_be_made_is_a_sentence(plain, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError):
        output.write(plain, tmp_path / "file" / "out")


def test_a_link_stays_a_link(plain, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    output.write(plain, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.md").is_file()
