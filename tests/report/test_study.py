"""Results by device and artifact: what belongs together, what never mixes, how much is kept."""

from __future__ import annotations

import gc
import json
import tracemalloc

import numpy as np
import pytest

from ondevice.bench import parts
from ondevice.report import rows, sources, study
from tests.report import made
from tests.report.conftest import gather


def only(found):
    (device,) = found.devices.values()
    (row,) = device.rows.values()
    return row


def test_devices_are_grouped_by_model_and_system():
    newer = made.PHONE.model_copy(update={"os_version": "15"})
    found = gather(
        made.result(device=made.PHONE),
        made.result(device=made.PHONE, salt="second run"),
        made.result(device=newer),
        made.result(),
        made.result(salt="another"),
        made.result(salt="a third"),
        made.result(device=made.IPHONE, target="coreml", scheme="fp16"),
    )
    assert [device.key.title for device in found.sorted_devices()] == [
        "Example Phone 8, Android 14",
        "Example Phone 8, Android 15",
        "Example Phone 15, iOS 17.5.1",
        "Example CPU @ 2.0 GHz, Linux 6.1",
    ]
    assert [one.title for one in found.sorted_devices()][:1] == ["Example Phone 8, Android 14"]
    assert found.sorted_devices()[0].documents == 2


def test_hosts_of_one_name_are_told_apart_by_their_cores():
    large = made.HOST.model_copy(update={"cores": 64})
    unknown = made.HOST.model_copy(update={"cores": None})
    found = gather(*(made.result(device=one) for one in (made.HOST, large, unknown, made.PHONE)))
    assert sorted(device.title for device in found.devices.values()) == [
        "Example CPU @ 2.0 GHz, Linux 6.1",
        "Example CPU @ 2.0 GHz, Linux 6.1, 2 cores",
        "Example CPU @ 2.0 GHz, Linux 6.1, 64 cores",
        "Example Phone 8, Android 14",
    ]


def test_real_questions_of_another_number_are_others():
    found = gather(
        made.result(traffic=made.traffic(made.STUDENT, "tflite", "fp32", 120)),
        made.result(traffic=made.traffic(made.STUDENT, "tflite", "fp32", 60)),
        made.result(traffic=made.traffic(made.STUDENT, "tflite", "fp32", 60), salt="again"),
    )
    row = only(found)
    runs = {(asked[1], policy): one.timings.runs for (asked, policy), one in row.traffic.items()}
    assert set(runs) == {(n, p) for n in (60, 120) for p in ("longest", "shortest_bucket")}
    assert [runs[n, "longest"] for n in (60, 120)] == [2, 1]
    samples = made.traffic(made.STUDENT, "tflite", "fp32", 60).policies[0].samples
    (seen,) = [
        one for (asked, p), one in row.traffic.items() if (asked[1], p) == (60, "shortest_bucket")
    ]
    assert seen.by_question == pytest.approx(np.array(samples) / 1e6)


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": made.PROTOCOL.model_copy(update={"threads": 4})},
        {"artifact": made.identity(sha256=made.sha("another file"))},
        {"runtime": parts.RuntimeInfo(name="ai-edge-litert", version="2.4.0")},
        {"runtime": parts.RuntimeInfo(name="ai-edge-litert", version="2.3.0", accelerator="gpu")},
    ],
    ids=["threads", "hash", "version", "accelerator"],
)
def test_what_differs_is_never_mixed(change):
    found = gather(made.result(), made.result(**change))
    (device,) = found.devices.values()
    assert [row.documents for row in device.rows.values()] == [1, 1]


def test_runs_of_one_artifact_make_one_row():
    found = gather(*(made.result(salt=str(number)) for number in range(5)))
    row = only(found)
    assert row.documents == 5
    assert row.time("model_only", 384).runs == 5
    assert row.time("model_only", 384).samples == 250


def test_an_emulator_is_no_phone():
    virtual = made.PHONE.model_copy(update={"virtual": True})
    found = gather(made.result(device=made.PHONE), made.result(device=virtual))
    assert len(found.devices) == 2
    assert {row.evidence for one in found.devices.values() for row in one.rows.values()} == {
        "phone",
        "host",
    }


def test_the_score_with_the_most_questions_is_kept_and_disagreement_is_told():
    found = gather(
        made.result(questions=100),
        made.result(questions=300, salt="more"),
        made.result(salt="none"),
    )
    row = only(found)
    f1 = np.array(made.scores(made.STUDENT, "fp32", 300).f1)
    assert row.score.questions == 300
    assert row.score.value == pytest.approx(100 * f1.mean())
    assert row.score_range[0] < row.score_range[1]


def test_traffic_gains_are_taken_question_by_question():
    row = only(gather(made.result(real=True)))
    short, long = made.result(real=True).traffic.policies
    (gain,) = row.gains.values()
    assert gain.interval.value == pytest.approx(sum(long.samples) / sum(short.samples))
    assert 1.0 < gain.interval.low < gain.interval.value < gain.interval.high


def test_hostile_variety_of_words_is_bounded():
    found = gather(
        *(made.result(source=f"tool {number}", salt=str(number)) for number in range(99))
    )
    (device,) = found.devices.values()
    assert len(device.sources.counts) == rows.MAX_WORDS
    assert device.sources.total == 99


def test_skipped_files_are_counted_and_the_first_are_named():
    found = study.gather(sources.Skipped(f"{number}", "broken") for number in range(500))
    assert found.skipped_total == 500
    assert len(found.skipped) == study.MAX_SKIPPED


def generate(directory, count):
    """Write small results of a farm: 3 devices, 2 artifacts, every run another."""
    directory.mkdir()
    lengths = (128, 384)
    documents = [
        json.loads(made.result(scheme=scheme, device=device).model_dump_json())
        for device in (made.PHONE, made.IPHONE, made.HOST)
        for scheme in ("fp32", "int8")
    ]
    noise = made.draw("farm").integers(0, 10**6, size=(count, len(lengths), 50))
    for number in range(count):
        document = documents[number % len(documents)]
        document["measurements"] = [
            {
                "kind": "model_only",
                "length": length,
                "samples": (length * 10**5 + noise[number, place]).tolist(),
            }
            for place, length in enumerate(lengths)
        ]
        (directory / f"{number:05d}.json").write_text(json.dumps(document))
    return directory


def peak(directory):
    # Python puts off collecting cycles while there is much that lives long, as after other tests:
    # what waits to be collected would be counted as held.
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    try:
        found = study.gather(sources.read([directory]))
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()
        gc.unfreeze()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_results(tmp_path):
    few, _ = peak(generate(tmp_path / "few", 600))
    many, found = peak(generate(tmp_path / "many", 3000))
    assert found.documents == 3000
    assert [device.documents for device in found.sorted_devices()] == [1000] * 3
    # What is left to grow is a file's name and eight bytes of its hash.
    assert many - few < 2400 * 250
    assert many < 4e6
