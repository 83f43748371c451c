"""Building the candidates: what is checked first, what is kept of failures, what is measured."""

from __future__ import annotations

import contextlib
import json

import pytest

from ondevice.errors import DataError, UserError
from ondevice.search import Budget, SearchOptions
from ondevice.search.build import build_all, plain_jobs
from ondevice.search.candidates import load_models, make_candidates
from ondevice.search.contender import Contender
from ondevice.search.files import held
from ondevice.search.workshop import BrokenError
from tests.requirements import need
from tests.search.made import quiet

need("onnx")


class Shop:
    """Stands for a workshop: builds nothing, and says what it was told to."""

    def __init__(self, failure="", kept=(), why=""):
        self.failure, self.kept, self.why = failure, tuple(kept), why
        self.built, self.measured = [], []

    def build(self, options):
        self.built.append(options)
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure

    def keep(self, options):
        self.measured.append(options)
        return self.kept, self.why


@pytest.fixture
def built(tiny, tmp_path):
    """Return a function that builds the candidates of some options in a shop."""

    def run(shop, *, retry=False, **changes):
        chosen = {"schemes": ("int4",), "lengths": ((16,),), "keep": "none"}
        chosen["out"] = tmp_path / "out"
        options = SearchOptions((str(tiny("bert", "qa")),), ("onnx",), **{**chosen, **changes})
        models = load_models(options.models)
        contenders = [Contender(one) for one in make_candidates(options, models)]
        failures = options.out / "failures"
        build_all(contenders, models, shop, failures, quiet(), retry=retry)
        return contenders

    return run


def test_a_failure_is_found_again_until_it_is_to_be_tried_again(built, tmp_path):
    shop = Shop("no lowering (log: /tmp/x.log)")
    (first,) = built(shop)
    assert (first.outcome, first.reason) == ("failed", shop.failure)
    (again,) = built(shop)
    assert again.reason == "no lowering (failed before; --retry-failed builds it)"
    assert len(shop.built) == 1
    built(shop, retry=True)
    assert len(shop.built) == 2
    # What is mended is no failure any more, whatever comes next.
    built(Shop(), retry=True)
    assert list((tmp_path / "out" / "failures").iterdir()) == []


def test_what_may_be_the_machine_s_fault_is_tried_again(built, tmp_path):
    shop = Shop(BrokenError("MemoryError"))
    for _ in range(2):
        (one,) = built(shop)
        assert (one.outcome, one.reason) == ("failed", "MemoryError")
    assert len(shop.built) == 2
    assert not (tmp_path / "out").exists()


def test_bad_texts_are_found_before_anything_is_built(built, tmp_path):
    shop, texts = Shop(), tmp_path / "texts.json"
    texts.write_text(json.dumps({"data": []}))
    with pytest.raises(DataError, match="holds no questions"):
        built(shop, schemes=("fp32", "int8", "int4"), calibration=texts)
    assert shop.built == []


def test_what_is_kept_is_measured_once_and_built_by_name(built):
    shop = Shop("not built", ("layers.0.contract", "head.scores"))
    plain, keeping = built(shop, keep="auto")
    assert (plain.candidate.variant, keeping.candidate.variant) == ("", "keep")
    assert [one.keep for one in shop.measured] == [("auto",)]
    assert [one.keep for one in shop.built] == [(), ("layers.0.contract", "head.scores")]
    built(shop, keep="auto", retry=True)
    assert len(shop.measured) == 1
    assert len(shop.built) == 4


@pytest.mark.parametrize(
    ("shop", "most", "words"),
    [
        (Shop("x"), None, "no part fits beside the rest"),
        (Shop("x", (), "--keep auto is too little"), None, "--keep auto is too little"),
        (Shop("x", ("head.scores",)), 0.01, "with nothing kept it has about 0.06 MB already"),
    ],
)
def test_where_nothing_can_be_kept_the_candidate_misses(built, shop, most, words):
    _, one = built(shop, keep="auto", budget=Budget(max_mb=most))
    assert one.outcome == "missed"
    assert words in one.reason
    assert len(shop.built) == 1


def test_the_jobs_are_those_of_the_candidates(tiny):
    options = SearchOptions((str(tiny("bert", "qa")),), ("onnx",), lengths=((16,), (32,)))
    models = load_models(options.models)
    contenders = [Contender(one) for one in make_candidates(options, models)]
    for one, job in zip(contenders, plain_jobs(contenders, models), strict=True):
        assert (job.scheme.name, job.lengths) == (one.candidate.scheme, one.candidate.lengths)


def test_one_search_at_a_time_writes_a_directory(tmp_path):
    out = tmp_path / "a" / "out"
    with held(out):
        words = "another process is writing .*out' now; wait for it, or choose another --out"
        with pytest.raises(UserError, match=words), held(out):
            pass
        assert out.is_dir()
    assert not out.exists()
    with held(out):
        (out / "kept").write_text("something")
    with held(out):
        assert (out / "kept").is_file()
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(UserError, match="cannot write"), contextlib.ExitStack() as stack:
        stack.enter_context(held(blocked / "out"))
