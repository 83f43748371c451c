"""Benchmark results come from devices: nothing in one is believed that can be checked."""

from __future__ import annotations

import copy
import errno
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ondevice.bench import parts, results
from ondevice.bench.results import (
    ResultError,
    parse_result,
    plain,
    read_result,
    result_name,
    write_result,
)
from ondevice.errors import UserError

EXAMPLE = Path(__file__).parent / "data" / "example.json"


@pytest.fixture
def document():
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


def test_what_is_not_told_about_turns_is_no_fault(document):
    """Documents from before, and those of phones, have no `between_turns`."""
    assert "between_turns" not in document["protocol"]
    assert parse_result(json.dumps(document).encode(), "x").protocol.between_turns is None
    document["protocol"]["between_turns"] = "100 ms apart"
    found = parse_result(json.dumps(document).encode(), "x")
    assert found.protocol.between_turns == "100 ms apart"
    assert parse_result(found.model_dump_json().encode(), "x") == found


def refusal(document, **options):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ResultError) as caught:
        parse_result(content, "x.json", **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("'x.json'")
    assert caught.value.exit_code == 2
    return sentence


def test_the_example_is_read_and_says_that_it_is_one():
    result = read_result(EXAMPLE, expected_sha256="a1" * 32)
    assert "made up" in result.source
    assert {one.kind for one in result.measurements} == set(parts.Kind.__args__)


def test_what_is_written_is_read_again(tmp_path):
    result = read_result(EXAMPLE)
    path = write_result(tmp_path / "new", result)
    assert read_result(path) == result
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def put(place, value):
    """Return a change: `value` at a path of keys."""

    def change(document):
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value

    return change


FIRST = ("measurements", 3)
CHANGES = {
    "NaN": (put(("memory", "peak_bytes"), float("nan")), "memory.peak_bytes"),
    "infinite": (put(("score", "artifact", "f1", 0), float("inf")), "score.artifact.f1.0"),
    "negative time": (put((*FIRST, "samples", 4), -1), "measurements.3.samples.4"),
    "zero time": (put((*FIRST, "samples", 4), 0), "greater than 0, not '0'"),
    "fraction of a ns": (put((*FIRST, "samples", 4), 1.5), "measurements.3.samples.4"),
    "time as text": (put((*FIRST, "samples", 4), "12"), "measurements.3.samples.4"),
    "time as truth": (put((*FIRST, "samples", 4), True), "measurements.3.samples.4"),
    "weeks": (put((*FIRST, "samples", 4), 10**16), "less than or equal to 1000000000000000"),
    "beyond 64 bits": (put((*FIRST, "samples", 4), 10**30), "measurements.3.samples.4"),
    "no samples": (put((*FIRST, "samples"), []), "either samples or reported"),
    "too many samples": (
        put((*FIRST, "samples"), [1] * (parts.MAX_SAMPLES + 1)),
        "at most 100000 items",
    ),
    "both": (put((*FIRST, "reported"), {"median": 5}), "either samples or reported"),
    "reported nonsense": (
        lambda d: d["measurements"][3].update(samples=[], reported={"median": -5}),
        "reported.median",
    ),
    "another unit": (put((*FIRST, "unit"), "ms"), "measurements.3.unit"),
    "no length": (put((*FIRST, "length"), None), "'model_only' needs a length"),
    "a load's length": (put(("measurements", 0, "length"), 128), "'load_cold' takes no length"),
    "unknown kind": (put((*FIRST, "kind"), "training"), "measurements.3.kind"),
    "twice": (lambda d: d["measurements"].append(d["measurements"][3]), "measured twice"),
    "unknown field": (put(("colour",), "red"), "colour: there is no such field"),
    "unknown inner field": (put(("device", "imei"), "1"), "device.imei: there is no such field"),
    "missing field": (lambda d: d.pop("device"), "device: Field required"),
    "schema true": (put(("schema_version",), True), "schema_version"),
    "older schema": (put(("schema_version",), 0), "schema_version"),
    "no schema": (lambda d: d.pop("schema_version"), "schema_version: Field required"),
    "control characters": (put(("device", "name"), "a\x1b[31mb"), "device.name"),
    "C1 control": (put(("device", "name"), "a\x9b31mb"), "device.name"),
    "turned around": (put(("notes",), ["a\u202eb"]), "notes.0"),
    "isolated": (put(("source",), "a\u2067b"), "source"),
    "two lines": (put(("source",), "a\u2028b"), "source"),
    "hostile key": (
        lambda d: d.update({"\x1b[2J\x9b31m" + "k" * 500: 1}),
        ": [2J 31m" + "k" * 53 + ": there is no such field",
    ),
    "endless parameters": (put(("artifact", "params"), 10**400), "artifact.params"),
    "endless runs": (put(("protocol", "iterations"), 10**400), "protocol.iterations"),
    "endless questions": (put(("score", "data", "questions"), 10**400), "score.data.questions"),
    "load": (put(("device", "before", "load_average"), 1e300), "load_average"),
    "reported nothing": (
        lambda d: d["measurements"][3].update(samples=[], reported={}),
        "need a mean or a median",
    ),
    "reported p90 only": (
        lambda d: d["measurements"][3].update(samples=[], reported={"p90": 5}),
        "need a mean or a median",
    ),
    "median below min": (
        lambda d: d["measurements"][3].update(samples=[], reported={"median": 5, "min": 6}),
        "do not rise",
    ),
    "median above max": (
        lambda d: d["measurements"][3].update(samples=[], reported={"median": 5, "max": 4}),
        "do not rise",
    ),
    "p90 above p99": (
        lambda d: d["measurements"][3].update(
            samples=[], reported={"median": 5, "p90": 9, "p99": 8}
        ),
        "do not rise",
    ),
    "wrong, complete": (
        lambda d: d.update(golden={"status": "failed"}, measurements=[], traffic=None, memory=None),
        "failed its goldens is complete",
    ),
    "endless name": (put(("device", "name"), "x" * 300), "device.name"),
    "no date": (put(("created",), "yesterday"), "created"),
    "no such date": (put(("created",), "2026-99-99T99:99:99Z"), "created: there is no such time"),
    "other digits": (put(("created",), "٢٠٢٦-01-31T12:00:00Z"), "created: there is no such time"),
    "bad hash": (put(("artifact", "sha256"), "abc"), "artifact.sha256"),
    "no hash": (put(("artifact", "sha256"), None), "the artifact has no hash"),
    "partial, no reason": (put(("status",), "partial"), "needs a reason"),
    "timed though wrong": (put(("golden", "status"), "failed"), "failed its goldens"),
    "timed by the book": (put(("evidence",), "reference"), "timed without having run"),
    "timed, not run": (put(("evidence",), "not run"), "timed without having run"),
    "emulator as phone": (put(("device", "virtual"), True), "the evidence is 'phone'"),
    "phone as host": (put(("evidence",), "host"), "the evidence is 'host'"),
    "no protocol": (put(("protocol",), None), "times without a protocol"),
    "no threads": (put(("protocol", "threads"), 0), "protocol.threads"),
    "battery": (put(("device", "before", "battery_percent"), 101), "battery_percent"),
    "thermal": (put(("device", "before", "thermal"), "warm"), "device.before.thermal"),
    "fewer scores": (lambda d: d["score"]["artifact"]["em"].pop(), "not as many as the ids"),
    "EM of 2": (put(("score", "artifact", "em", 0), 2), "score.artifact.em.0"),
    "F1 of 1.5": (put(("score", "artifact", "f1", 0), 1.5), "score.artifact.f1.0"),
    "id twice": (put(("score", "ids", 0), "q01"), "occurs twice"),
    "other count": (put(("score", "data", "questions"), 7), "not as many as the questions"),
    "both scores": (put(("score", "reported_f1"), 80.0), "by question or reported"),
    "teacher alone": (put(("score", "artifact"), None), "no score of the artifact"),
    "policy twice": (
        lambda d: d["traffic"]["policies"][1].update(policy="shortest_bucket"),
        "a policy occurs twice",
    ),
    "fewer questions timed": (
        lambda d: d["traffic"]["policies"][0]["samples"].pop(),
        "not as many as the questions",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_cannot_be_is_one_sentence(document, name):
    change, words = CHANGES[name]
    before = copy.deepcopy(document)
    change(document)
    assert json.dumps(document) != json.dumps(before)
    assert words in refusal(document)


MANY = [-1] * 1000


@pytest.mark.parametrize(
    "place",
    [
        (*FIRST, "samples"),
        ("score", "artifact", "em"),
        ("score", "artifact", "f1"),
        ("score", "artifact", "spans"),
        ("score", "ids"),
        ("traffic", "policies", 0, "samples"),
        ("traffic", "policies", 0, "windows"),
        ("measurements",),
        ("placements",),
        ("notes",),
        ("artifact", "lengths"),
        ("protocol", "interleaved_with"),
    ],
    ids=lambda place: ".".join(map(str, place)),
)
def test_of_many_wrong_items_one_is_told(document, place):
    # An error for each of a million items took gigabytes.
    put(place, MANY)(document)
    with pytest.raises(ValidationError) as caught:
        results.BenchmarkResult.model_validate_json(json.dumps(document))
    # The policies, of which one at least is needed, are then too few as well.
    assert caught.value.error_count() <= 2


def test_a_newer_schema_asks_for_an_update_whatever_else_is_new(document):
    document |= {"schema_version": 2, "brand_new": 1, "another": 2}
    assert refusal(document).endswith(
        "has schema version 2, this version of ondevice reads 1; update ondevice"
    )


def test_another_artifact_is_refused(document):
    sentence = refusal(document, expected_sha256="ff" * 32)
    assert "another artifact: SHA-256 a1a1a1a1a1a1…, expected ffffffffffff…" in sentence


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_no_document_is_one_sentence(content):
    assert "is not a benchmark result" in refusal(content)


def test_a_document_that_never_ends_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "MAX_DOCUMENT_BYTES", 1000)
    path = tmp_path / "large.json"
    path.write_bytes(b" " * 5000)
    with pytest.raises(ResultError, match="has more than"):
        read_result(path)


@pytest.mark.parametrize("kind", ["absent", "directory"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, kind):
    path = tmp_path if kind == "directory" else tmp_path / "absent.json"
    with pytest.raises(ResultError, match="cannot read"):
        read_result(path)


def test_a_failed_write_leaves_the_older_result(tmp_path, monkeypatch):
    result = read_result(EXAMPLE)
    path = write_result(tmp_path, result)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results.os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_result(tmp_path, result.model_copy(update={"notes": ("new",)}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_the_directory_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --out"):
        write_result(tmp_path / "file", read_result(EXAMPLE))


def test_names_are_file_names_and_tell_runs_apart():
    result = read_result(EXAMPLE)
    device = result.device.model_copy(update={"name": "../../etc/Größe 8 (5G)"})
    odd = result.model_copy(update={"device": device})
    assert "/" not in result_name(odd)
    assert not result_name(odd).startswith(".")
    assert result.protocol is not None
    threads = result.protocol.model_copy(update={"threads": 1})
    one = result.model_copy(update={"protocol": threads})
    runtime = result.runtime.model_copy(update={"accelerator": "gpu"})
    system = result.device.model_copy(update={"os_version": "15"})
    others = [
        result.model_copy(update=update)
        for update in (
            {"runtime": runtime},
            {"device": system},
            {"created": "2026-02-01T00:00:00Z"},
        )
    ]
    names = {result_name(other) for other in (result, odd, one, *others)}
    names |= {result_name(result, imported=True)}
    assert len(names) == 7
    # Another note of the same run is the same file, unless another program wrote it.
    noted = result.model_copy(update={"notes": ("x",)})
    assert result_name(noted) == result_name(result)
    assert result_name(noted, imported=True) != result_name(result, imported=True)
    long = result.device.model_copy(update={"name": "é-x" * 60, "os_version": "y" * 2000})
    identity = result.artifact.model_copy(update=dict.fromkeys(("model", "target"), "z" * 200))
    longest = result.model_copy(update={"device": long, "artifact": identity})
    assert len(result_name(longest, imported=True).encode()) <= 255


def test_other_people_s_text_becomes_one_printable_line():
    assert plain("a\x1b[1m\n b\t\x00c\x85d", 8) == "a [1m b "
    assert plain("a\u202eb\u2066c\u2028d\x9be") == "a b c d e"
