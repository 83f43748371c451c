"""The page in a real browser, where Debian's Chromium is installed."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from ondevice.report import page
from ondevice.report.drawing import COLOURS
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


# Blink's enumeration PreferredColorScheme.
PREFERENCES = {"dark": 0, "light": 1}


@pytest.fixture(autouse=True)
def browser():
    need("chromium")


def browse(directory, page_name, *options):
    """Open a page of a directory; return what the browser prints."""
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
            *options,
            (directory / page_name).as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def measure(directory, width):
    """Return the page's whole width, how many tables scroll, the smallest text of a plot (px)."""
    (directory / "measure.html").write_text(MEASURE.format(width=width))
    title = browse(directory, "measure.html", "--dump-dom").split("<title>")[1].split("</title>")[0]
    return [float(one) for one in title.split()]


def look(directory, preference):
    """Return the pixels of the page down to the first plots, [height, width, 3] in 0 to 255."""
    from matplotlib import image

    picture = directory / "seen.png"
    browse(
        directory,
        "report.html",
        f"--blink-settings=preferredColorScheme={PREFERENCES[preference]}",
        "--window-size=1280,4000",
        f"--screenshot={picture}",
    )
    return np.rint(255 * image.imread(picture)[:, :, :3]).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_width_and_tables_scroll_by_themselves(width, report, tmp_path):
    (tmp_path / "report.html").write_text(page.render(report), encoding="utf-8")
    whole, scrolling, smallest = measure(tmp_path, width)
    assert whole == width
    if width == 390:
        assert scrolling > 0
    assert smallest >= 9.0


@pytest.mark.slow
@pytest.mark.parametrize("preference", PREFERENCES)
def test_the_page_follows_the_preferred_colours(preference, report, tmp_path):
    """In pixels: ground, text, and the series in the plots are the scheme's."""
    (tmp_path / "report.html").write_text(page.render(report), encoding="utf-8")
    seen = look(tmp_path, preference)
    scheme = {"light": 0, "dark": 1}[preference]
    colours = {role: channels(pair[scheme]) for role, pair in COLOURS.items()}
    other = {role: channels(pair[1 - scheme]) for role, pair in COLOURS.items()}
    share = {role: share_of(seen, colour) for role, colour in colours.items()}
    # Beside the column of text there is nothing but the ground.
    assert (seen[:, 2] == colours["paper"]).all()
    assert share["paper"] > 0.5
    assert share["ink"] > 0.0005
    assert share_of(seen, other["paper"]) < 0.005
    # Nothing but plots has the colour of the first series.
    assert share["series-0"] > 0.0001
    assert (seen.mean() < 80) == (preference == "dark")


def channels(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def share_of(seen, colour):
    """Return the share of the pixels that have a colour."""
    return (seen == colour).all(axis=2).mean()
