"""JSON from outside, also in a process whose recursion limit is raised."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ondevice.untrusted import parse_json


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2.5, null, "é"]}', b'{"a": [1, 2.5, null, "\xc3\xa9"]}']
)
def test_reads_text_and_bytes(text):
    assert parse_json(text) == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize("text", ["", "{", "[1,]", b"\xff", "{} {}"])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"line 1 column \d"):
        parse_json(text)


def test_nesting_ends_no_process():
    """As after the import of litert_torch's converter, which sets such a limit."""
    script = """
import sys
from ondevice.untrusted import parse_json
sys.setrecursionlimit(10**6)
try:
    parse_json("[" * 10**6)
except ValueError as error:
    sys.exit(str(error))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("recursion limit exceeded")
