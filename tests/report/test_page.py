"""The page and the Markdown: self-contained, escaped, and equal to the tables."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from ondevice.report import content, markdown, output, page
from ondevice.report.html import Markup, element
from ondevice.report.speedup import find_teachers
from tests import requirements
from tests.report import made
from tests.report.conftest import gather

VOID = {"meta", "br", "hr", "col"}
EVIL = '<script>alert(1)</script>"\'&|`*_[x](http://evil.example)$\\frac{a}#ffffff id="'
OVERRIDE = "a\u202eb\u200bc\x9bd"


class Page(HTMLParser):
    """Collects what a page holds, and refuses tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes = [], [], [], []
        self.text, self.rows = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def html(report):
    return page.render(report)


@pytest.fixture(scope="module")
def parsed(html):
    return Page(html)


@pytest.fixture(scope="module")
def evil():
    """A report of results whose names are meant to break it."""
    requirements.need("report")
    device = made.PHONE.model_copy(update={"name": EVIL, "os": OVERRIDE})
    measured = made.measurements(made.STUDENT, "tflite", "fp32")
    results = [
        made.result(
            device=device,
            artifact=made.identity(f"{EVIL}{number}", params=10**number),
            measurements=measured,
            questions=30,
            source=EVIL,
            notes=(EVIL,),
        )
        for number in (1, 2)
    ]
    return content.build(gather(*results))


def test_nothing_comes_from_outside(html, parsed):
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & set(parsed.tags)
    for name, value in parsed.attributes:
        assert name not in {"src", "srcset", "action", "formaction", "data", "poster"}
        assert not name.startswith("on")
        if name == "href":
            assert value.startswith("#")
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert set(re.findall(r"url\(([^)]{1,2})", html)) <= {"#d"}
    policies = [v for n, v in parsed.attributes if n == "content" and v.startswith("default-src")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_identifiers_are_unique_and_links_lead_somewhere(parsed):
    assert len(parsed.ids) == len(set(parsed.ids))
    links = {value[1:] for name, value in parsed.attributes if name == "href"}
    assert links <= set(parsed.ids)
    assert "device-1" in links


def test_every_evidence_label_is_on_the_page(report, parsed, html):
    for word, meaning in content.EVIDENCE.items():
        assert word in parsed.text
        assert meaning in parsed.text
    for word in ("phone", "host", "published", "not-run"):
        assert f'<span class="e e-{word}">' in html


def test_the_tables_equal_the_report_s(report, parsed):
    """Cell by cell: text, interval and evidence, in the order of the tables."""
    tables = []
    for section in report.sections:
        tables += [*section.tables, *section.details]
    expected = sorted(
        cell.text
        + (str(table.reasons()[cell.reason]) if cell.reason else "")
        + cell.detail
        + cell.evidence
        for table in tables
        for row in table.rows
        for cell in row[table.stub :]
    )
    found = []
    for row in parsed.rows:
        found += row[1:]
    headers = [title for table in tables for title in table.headers[table.stub :]]
    for title in headers:
        found.remove(title)
    assert sorted(found) == expected


def test_the_markdown_has_every_cell_with_its_evidence(report):
    text = markdown.render(report)
    for section in report.sections:
        assert f"## {section.title}" in text
        for table in (*section.tables, *section.details):
            for row in table.rows:
                for cell in row:
                    if cell.evidence == "host":
                        shown = f"{cell.text} ({cell.detail})" if cell.detail else cell.text
                        assert f"| {shown} *host*" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines if "tokens" in line}) <= 4


def test_the_json_says_the_same(report):
    text = json.dumps(output.document(report, ["report.md"]))
    found = json.loads(text)
    tables = [table for section in found["sections"] for table in section["tables"]]
    assert tables[0]["key"] == "across"
    evidence = {cell["evidence"] for table in tables for row in table["rows"] for cell in row}
    assert evidence == {"", "phone", "host", "published", "not run"}


def test_strangers_names_are_text_and_nothing_else(evil):
    html = page.render(evil)
    parsed = Page(html)
    assert "script" not in parsed.tags
    text = "".join(parsed.text)
    # What was given is what is read, in tables and plots alike.
    assert EVIL in text
    assert "<script>" not in html
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    assert all(value.startswith("#") for name, value in parsed.attributes if name == "href")
    assert "\u202e" not in html
    assert "\x9b" not in html
    assert "abcd" in text
    assert len(parsed.ids) == len(set(parsed.ids))


def test_strangers_names_do_not_break_markdown(evil):
    text = markdown.render(evil)
    assert "<script" not in text.replace("\\<script", "")
    assert "[x](" not in text.replace("\\[x\\](", "")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert tables
    for table in tables:
        rows = [re.sub(r"\\.", "", line) for line in table.splitlines()]
        assert len({row.count("|") for row in rows}) == 1


def test_light_and_dark_have_the_same_colours_by_name(html):
    light, dark = re.findall(r":root\{([^}]*)\}", html)
    names = [set(re.findall(r"--([\w-]+):#", one)) for one in (light, dark)]
    assert names[0] == names[1]
    assert "@media (prefers-color-scheme:dark)" in html
    assert set(re.findall(r"var\(--([\w-]+)[,)]", html)) <= names[0] | {"c"}


def test_elements_escape_everything_but_markup():
    child = element("b", Markup("<i>x</i>"), "<i>")
    assert child == "<b><i>x</i>&lt;i&gt;</b>"
    assert element("a", href='"><x', class_=None) == '<a href="&quot;&gt;&lt;x"></a>'


def test_headlines_say_what_the_tables_say(report, whole):
    (device,) = [one for one in whole.sorted_devices() if one.key.kind == "ios"]
    (sentence,) = content.headlines(device, find_teachers(device))
    assert sentence in report.headlines
    row = next(row for row in device.rows.values() if row.key.model == made.STUDENT)
    assert f"takes {row.time('model_only', 384).value():.1f} ms at 384 tokens" in sentence
    assert f"{row.score.retention.value:.1f} % of the teacher's F1 in PyTorch" in sentence
    assert sentence.endswith("[phone].")


def test_a_headline_gives_retention_of_the_teacher_that_it_compares_with_only():
    student = made.result(questions=200)
    other = made.identity("older", "torch", model_sha256=made.sha("older"), params=10**9)
    older = made.result(made.TEACHER, "torch", artifact=other)
    found = gather(made.result(made.TEACHER, "torch", questions=200), older, student)
    (device,) = found.devices.values()
    (sentence,) = content.headlines(device, find_teachers(device))
    assert "of the teacher's F1 in PyTorch" in sentence
    teachers = {("qa", made.STUDENT): "older", ("qa", "older"): "older"}
    (sentence,) = content.headlines(device, teachers)
    assert "times as fast as older" in sentence
    assert "F1" not in sentence


def told(*results):
    """Return all sentences and facts of a report without plots."""
    report = content.build(gather(*results), draw=False)
    facts = dict(pair for section in report.sections for pair in section.facts)
    return " ".join(one for section in report.sections for one in section.sentences), facts


def test_few_runs_are_warned_of():
    def of(iterations, **changes):
        protocol = made.PROTOCOL.model_copy(update={"iterations": iterations})
        return made.result(protocol=protocol, salt=str(iterations), **changes)

    sentences, facts = told(of(10), of(50))
    assert "10 timed runs at the least: with fewer than 50 they are to try things out" in sentences
    assert facts["timed runs of each"] == "10 to 50"
    # What was not timed has no runs, and nobody else's figures are ours to judge.
    unrun = {"evidence": "not run", "status": "partial", "reason": "not built", "memory": None}
    for other in (of(10, **unrun), made.result(evidence="published", protocol=None)):
        assert "timed run" not in told(of(50), other)[0]


def test_what_is_done_between_turns_is_under_how_it_was_measured():
    words = "stopped (SIGSTOP), 10 ms apart"
    stopped = made.PROTOCOL.model_copy(update={"between_turns": words})
    assert told(made.result(protocol=stopped))[1]["between turns"] == words
    _, facts = told(made.result(protocol=stopped), made.result(salt="older"))
    assert facts["between turns"] == f"{words} (1), not told (1)"


def test_a_busy_host_and_a_hot_phone_are_warned_of():
    requirements.need("report")
    busy = made.HOST.model_copy(update={"before": made.parts.DeviceState(load_average=3.2)})
    hot = made.PHONE.model_copy(
        update={"after": made.parts.DeviceState(thermal="severe", power_mode="low_power")}
    )
    report = content.build(gather(made.result(device=busy), made.result(device=hot)), draw=False)
    told = " ".join(sentence for section in report.sections for sentence in section.sentences)
    assert "load average 3.2" in told
    assert "hot (severe)" in told
    assert "low-power mode" in told
