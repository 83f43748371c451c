"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ondevice import build, console
from ondevice.plan import BuildOptions
from ondevice.targets import TARGETS
from tests.requirements import need

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def block(words):
    (found,) = [text for text in BLOCKS if words in text]
    return found


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A directory with `bundles/`, made by the README's own commands."""
    root = tmp_path_factory.mktemp("readme")
    targets = tuple(name for name in TARGETS if not TARGETS[name].systems)
    for target in targets:
        need(target)
    options = BuildOptions(targets=targets, out=root / "bundles")
    results = build.run(options, console.Progress())
    assert [result.failure for result in results] == [None] * len(targets)
    return root


@pytest.mark.slow
def test_a_bundle_runs_whichever_the_target(bundles, monkeypatch, capsys):
    monkeypatch.chdir(bundles)
    exec(block("from ondevice.inference import Model"), {})
    # What the README says it prints.
    assert capsys.readouterr().out == "Paris Paris\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("tflite", "from ai_edge_litert.interpreter"),
        ("executorch", "import executorch.kernels.quantized"),
        ("onnx", "import onnxruntime"),
    ],
)
def test_a_runtime_s_own_api_gives_the_same(bundles, monkeypatch, target, words):
    import numpy as np

    from ondevice.inference import Model

    scheme = TARGETS[target].default_scheme
    directory = bundles / "bundles" / f"student-qa-{target}-{scheme}"
    pair = ("Where does the Nile rise?", "The Nile rises in the hills of Burundi.")
    expected = Model.open(directory).run(*pair)
    monkeypatch.chdir(directory)
    names: dict[str, object] = {}
    exec(block("Tokenizer.from_file"), names)
    exec(block(words), names)
    outputs = names["outputs"]
    for place, role in enumerate(("start", "end")):
        got = outputs[role] if isinstance(outputs, dict) else outputs[place]
        np.testing.assert_allclose(np.asarray(got), expected[role], atol=1e-5)
