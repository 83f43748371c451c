"""Plots: legible in both colour schemes, the same for the same figures, named for readers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from ondevice.bench import parts
from ondevice.report import content, drawing, plots
from ondevice.report.speedup import find_teachers
from tests import requirements
from tests.report import made
from tests.report.conftest import gather

KINDS = ("latency", "speedup", "pareto-latency", "pareto-size", "lengths", "traffic")


@pytest.fixture(scope="module")
def drawn():
    requirements.need("report")
    (device,) = gather(
        made.result(made.TEACHER, questions=100, real=True),
        made.result(made.STUDENT, questions=100, real=True),
        made.result(made.STUDENT, scheme="int8", questions=100, real=True),
    ).devices.values()
    return plots.draw(device, "device-1", find_teachers(device))


def draw(*results):
    (device,) = gather(*results).devices.values()
    return plots.draw(device, "device-1", find_teachers(device))


def test_all_of_them_are_drawn(drawn):
    assert [plot.key for plot in drawn] == [f"device-1-{kind}" for kind in KINDS]
    for plot in drawn:
        assert plot.png.startswith(b"\x89PNG\r\n\x1a\n")
        assert ElementTree.fromstring(plot.svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_words_beside_a_plot_hold_its_figures(drawn):
    latency = drawn[0]
    values = [float(one) for one in re.findall(r"([\d.]+) ms", latency.alt)]
    assert values == sorted(values)
    assert len(values) == 3
    result = made.result(made.STUDENT)
    (measured,) = [
        one for one in result.measurements if (one.kind, one.length) == ("model_only", 384)
    ]
    median = sorted(measured.samples)[25] / 1e6
    assert any(value == pytest.approx(median, rel=0.01) for value in values)


def test_the_same_figures_give_the_same_bytes(drawn):
    again = draw(
        made.result(made.TEACHER, questions=100, real=True),
        made.result(made.STUDENT, questions=100, real=True),
        made.result(made.STUDENT, scheme="int8", questions=100, real=True),
    )
    assert [plot.svg for plot in again] == [plot.svg for plot in drawn]
    assert [plot.png for plot in again] == [plot.png for plot in drawn]


def test_every_colour_is_a_role_and_has_a_dark_one(drawn):
    light = {one for one, _ in drawing.COLOURS.values()}
    for plot in drawn:
        assert set(re.findall(r"#[0-9a-f]{6}\b", plot.svg)) <= light
        dark = drawing.dark(plot.svg)
        assert not light & set(re.findall(r"#[0-9a-f]{6}\b", dark))
        assert not re.search(r"#[0-9a-f]{6}\b", drawing.inline(plot))


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_series_stand_out_from_the_ground(scheme):
    """WCAG 2.1: contrast of at least 4.5 to 1."""
    ground = luminance(drawing.COLOURS["paper"][scheme])
    for role, colours in drawing.COLOURS.items():
        if role in {"paper", "grid"}:
            continue
        pair = sorted((luminance(colours[scheme]), ground))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, role


def test_svg_loads_nothing(drawn):
    for plot in drawn:
        links = re.findall(r'href="([^"]*)"', plot.svg)
        assert all(link.startswith("#") for link in links)
        addresses = set(re.findall(r'https?://[^"<\s]*', plot.svg))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert "http" not in drawing.inline(plot)


def test_names_are_drawn_as_they_are():
    requirements.need("report")
    name = r"a$\frac{b$ <c> & #ffffff"
    device = made.HOST
    times = made.measurements(made.STUDENT, "tflite", "fp32")
    results = [
        made.result(device=device, artifact=made.identity(one), measurements=times)
        for one in (name, "other")
    ]
    latency = draw(*results)[0]
    root = ElementTree.fromstring(latency.svg)
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert name in texts
    assert "a$\\frac{b$ &lt;c&gt; &amp; #ffffff" in drawing.inline(latency)


def test_what_has_no_figures_has_no_plots():
    requirements.need("report")
    failed = parts.GoldenCheck(status="failed", reason="differs")
    unfinished = {"status": "partial", "reason": "differs"}
    assert draw(made.result(golden=failed, measurements=(), memory=None, **unfinished)) == []


def test_figures_without_samples_are_drawn():
    requirements.need("report")
    told = parts.Measurement(
        kind="model_only", length=64, reported=parts.ReportedTimes(count=9, mean=5_000_000)
    )
    (latency,) = draw(made.result(measurements=(told,)))
    assert "5.00 ms" in latency.alt


def told(model, *lengths, **figures):
    """Return a result with figures and no samples."""
    reported = parts.ReportedTimes.model_construct(
        **(dict.fromkeys(("mean", "median", "p90", "p99")) | {"count": 9} | figures)
    )
    return made.result(
        model,
        measurements=tuple(
            parts.Measurement.model_construct(
                kind="model_only", length=length, samples=(), reported=reported, stable=None
            )
            for length in lengths
        ),
    )


def test_a_ratio_without_an_interval_is_hollow_and_has_no_range():
    requirements.need("report")
    pair = [told(made.TEACHER, 64, median=9_000_000), told(made.STUDENT, 64, median=5_000_000)]
    (device,) = gather(*(made.took_turns(one, pair) for one in pair)).devices.values()
    plots_of = plots.draw(device, "device-1", find_teachers(device, made.TEACHER))
    (speed,) = [one for one in plots_of if one.key.endswith("speedup")]
    assert "1.80 times (interval not known)" in speed.alt
    assert "to 1.80" not in speed.alt
    assert "hollow: no interval" in speed.svg


def test_a_ratio_that_is_not_in_turn_is_hollow_and_says_so():
    requirements.need("report")
    (device,) = gather(made.result(made.TEACHER), made.result()).devices.values()
    plots_of = plots.draw(device, "device-1", find_teachers(device, made.TEACHER))
    (speed,) = [one for one in plots_of if one.key.endswith("speedup")]
    assert "times (not in turn: timed alone)" in speed.alt
    assert "hollow: no interval" in speed.svg


def test_figures_without_a_median_are_not_drawn():
    """Such documents are refused where they are read; a plot is not where that shows."""
    requirements.need("report")
    slow, fast = told(made.TEACHER, 64, 128, p90=9), told(made.STUDENT, 64, 128, p90=5)
    (device,) = gather(slow, fast).devices.values()
    teachers = find_teachers(device, made.TEACHER)
    assert plots.draw(device, "device-1", teachers) == []
    assert content.headlines(device, teachers) == []
    fast = told(made.STUDENT, 64, 128, median=5_000_000)
    (device,) = gather(slow, fast).devices.values()
    names = [one.key for one in plots.draw(device, "device-1", teachers)]
    assert names == ["device-1-latency", "device-1-lengths"]
    assert content.headlines(device, teachers) == []


def test_names_of_lines_that_end_together_stand_apart():
    assert plots.apart([54.0, 411.0, 79.0, 80.0], 40.0) == [54.0, 411.0, 94.0, 134.0]
    assert plots.apart([], 40.0) == []
