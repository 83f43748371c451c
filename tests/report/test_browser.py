"""The page in a real browser, where Debian's Chromium is installed."""

from __future__ import annotations

import subprocess

import pytest

from ondevice.report import page
from tests.requirements import need

MEASURE = """<!DOCTYPE html><title></title><body>
<iframe src="report.html" style="border:0;width:{width}px;height:900px"></iframe>
<script>
onload = () => {{
  const view = document.querySelector("iframe").contentDocument;
  const wide = [...view.querySelectorAll(".scroll")].filter(
    (one) => one.scrollWidth > one.clientWidth).length;
  const text = [...view.querySelectorAll("figure svg text")].map(
    (one) => one.getBoundingClientRect().height);
  document.title = [view.documentElement.scrollWidth, wide, Math.min(...text)].join(" ");
}};
</script>"""


@pytest.fixture(autouse=True)
def browser():
    need("chromium")


def measure(directory, width):
    """Return the page's whole width, how many tables scroll, the smallest text of a plot (px)."""
    (directory / "measure.html").write_text(MEASURE.format(width=width))
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            f"--user-data-dir={directory / 'profile'}",
            "--virtual-time-budget=20000",
            "--dump-dom",
            (directory / "measure.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    title = done.stdout.split("<title>")[1].split("</title>")[0]
    return [float(one) for one in title.split()]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_width_and_tables_scroll_by_themselves(width, report, tmp_path):
    (tmp_path / "report.html").write_text(page.render(report), encoding="utf-8")
    whole, scrolling, smallest = measure(tmp_path, width)
    assert whole == width
    if width == 390:
        assert scrolling > 0
    assert smallest >= 9.0
