"""Files of strangers: read what can be used, say of the rest why it cannot."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from ondevice.errors import DataError
from ondevice.report.sources import REPORT_FILE, Document, Skipped, read
from tests.report import made


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.json"
    path.write_text(made.result().model_dump_json())
    return path


def test_directories_are_read_to_the_bottom_in_the_order_of_names(tmp_path, good):
    for name in ("b/2.json", "a/deep/1.json", "c.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made.result(salt=name).model_dump_json())
    (tmp_path / "notes.txt").write_text("no result")
    found = list(read([tmp_path]))
    assert all(isinstance(one, Document) for one in found)
    assert len({one.key for one in found}) == 4
    again = list(read([tmp_path]))
    assert [one.key for one in found] == [one.key for one in again]


def test_the_same_document_counts_once(tmp_path, good):
    (tmp_path / "a copy.json").write_bytes(good.read_bytes())
    first, second = read([tmp_path])
    assert isinstance(first, Document)
    assert second == Skipped("good.json", "the same document was read before")


def broken(change):
    document = json.loads(made.result().model_dump_json())
    change(document)
    return json.dumps(document)


BROKEN = {
    "empty": ("", "Invalid JSON"),
    "cut": ('{"schema_version": 1, ', "Invalid JSON"),
    "a list": ("[]", "Input should be an object"),
    "NaN": ('{"schema_version": NaN}', "schema_version"),
    "newer": (broken(lambda one: one.update(schema_version=2)), "update ondevice"),
    "unknown field": (broken(lambda one: one.update(extra=1)), "no such field"),
    "negative time": (
        broken(lambda one: one["measurements"][0].update(samples=[-1])),
        "measurements.0.samples.0",
    ),
    "no hash": (broken(lambda one: one["artifact"].update(sha256="x")), "artifact.sha256"),
    "bytes": (b"\xff\xfe\x00", "Invalid JSON"),
    "deep": ("[" * 100_000, "Invalid JSON"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_skipped_with_its_reason(what, tmp_path, good):
    content, reason = BROKEN[what]
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "broken.json").write_bytes(data)
    skipped, document = read([tmp_path])
    assert isinstance(document, Document)
    assert skipped.name == "broken.json"
    assert reason in skipped.reason
    assert "\n" not in skipped.reason
    assert str(tmp_path) not in skipped.reason


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (found,) = read([tmp_path])
    assert found == Skipped("pipe.json", "is not a regular file")


def test_a_link_into_nowhere_is_skipped(tmp_path):
    (tmp_path / "lost.json").symlink_to(tmp_path / "nothing")
    (found,) = read([tmp_path])
    assert found == Skipped("lost.json", "cannot be read: No such file or directory")


def test_an_earlier_report_among_the_results_is_passed_over_and_told(tmp_path, good):
    old = tmp_path / "report"
    (old / "plots").mkdir(parents=True)
    (old / REPORT_FILE).write_text('{"format": "ondevice report", "files": []}')
    (old / "plots" / "x.json").write_text("{}")
    found, skipped = read([tmp_path])
    assert isinstance(found, Document)
    assert skipped == Skipped(
        "report/report.json", "is an earlier report; its directory is passed over"
    )


@pytest.mark.parametrize("content", ["{}", "[]", "", "[" * 100_000, '{"format": "junit"}', None])
def test_another_report_json_hides_nothing(content, tmp_path, good):
    ci = tmp_path / "ci"
    (ci / "below").mkdir(parents=True)
    if content is None:
        (ci / REPORT_FILE).mkdir()
    else:
        (ci / REPORT_FILE).write_text(content)
    for place in (ci, ci / "below"):
        (place / "x.json").write_text(made.result(salt=place.name).model_dump_json())
    found = list(read([tmp_path]))
    assert sum(isinstance(one, Document) for one in found) == 3
    names = [one.name for one in found if isinstance(one, Skipped)]
    assert names == ([] if content is None else ["ci/report.json"])


def test_a_result_may_be_called_report_json(tmp_path):
    (tmp_path / REPORT_FILE).write_text(made.result().model_dump_json())
    (found,) = read([tmp_path])
    assert isinstance(found, Document)


def test_a_name_cannot_turn_the_text_around(tmp_path):
    (tmp_path / "a\u202eb\x1b[31m.json").write_text("[]")
    (found,) = read([tmp_path])
    assert found.name == "ab[31m.json"


def test_a_directory_that_does_not_open_is_listed(tmp_path, good, monkeypatch):
    (tmp_path / "closed").mkdir()
    opened = os.scandir

    def scandir(place):
        if Path(place).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return opened(place)

    monkeypatch.setattr(os, "scandir", scandir)
    found, skipped = read([tmp_path])
    assert isinstance(found, Document)
    assert skipped == Skipped("closed", "the directory cannot be read: Permission denied")


def test_a_path_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nothing' does not exist; give a result, or a directory"):
        list(read([tmp_path / "nothing"]))
