"""Bundles go into the apps whole, and nothing that an app must not hold."""

from __future__ import annotations

import json
import shutil

import pytest

from ondevice import bundle, embed, staging
from ondevice.embed import APPS
from ondevice.errors import BundleError, UserError
from ondevice.targets import TARGETS
from ondevice.tokenizer import TOKENIZER_FILE
from tests.embeddable import failed_check, make_bundle, parity

IOS, ANDROID = APPS["ios"], APPS["android"]


@pytest.fixture
def root(tmp_path):
    """The directory of the apps, with sources and nothing embedded."""
    for app in APPS.values():
        (tmp_path / "apps" / app.source).mkdir(parents=True)
    return tmp_path / "apps"


@pytest.fixture
def small(tmp_path):
    return make_bundle(tmp_path / "small")


@pytest.fixture
def large(tmp_path):
    return make_bundle(tmp_path / "large", "executorch")


def place(app, root, *bundles):
    return embed.embed(app, root, embed.open_sources(bundles, [app]))


def held(app, root):
    """Every file below the app's directory, with its bytes."""
    top = root / app.bundles
    return {
        file.relative_to(top).as_posix(): file.read_bytes()
        for file in top.rglob("*")
        if file.is_file()
    }


def test_an_app_gets_what_it_reads_and_no_more(root, small):
    done = place(ANDROID, root, small)
    files = held(ANDROID, root)
    assert set(files) == {
        embed.INDEX_FILE,
        "qa.json",
        *(f"small/{name}" for name in ("manifest.json", "vocab.txt", "golden.jsonl")),
        "small/model.tflite",
    }
    for name, content in files.items():
        if name not in (embed.INDEX_FILE, "qa.json"):
            assert content == (small.parent / name).read_bytes()
    del files[embed.INDEX_FILE]
    assert done.bytes == sum(map(len, files.values()))
    assert bundle.read_manifest(root / ANDROID.bundles / "small") == bundle.read_manifest(small)


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
def test_each_app_gets_the_passages(app, root, small):
    place(app, root, small)
    assert json.loads(held(app, root)["qa.json"])["data"]


def test_a_directory_as_artifact_comes_whole(root, tmp_path):
    place(IOS, root, make_bundle(tmp_path / "package", "coreml"))
    files = held(IOS, root)
    assert "package/model.mlpackage/Data/weights.bin" in files
    assert "package/model.mlpackage/Manifest.json" in files


def test_the_next_embed_replaces_the_last_and_leaves_what_is_not_ours(root, small, large):
    mine = root / ANDROID.bundles / "notes/README.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    place(ANDROID, root, small)
    place(ANDROID, root, large)
    files = held(ANDROID, root)
    assert files["notes/README.md"] == b"mine"
    assert not any(name.startswith("small/") for name in files)
    assert not (root / ANDROID.bundles / "small").exists()
    assert files["large/model.pte"]
    beside = list((root / ANDROID.bundles).parent.iterdir())
    assert beside == [root / ANDROID.bundles]


def test_embedding_again_touches_nothing(root, small, large):
    assert place(ANDROID, root, small, large).changed
    index = root / ANDROID.bundles / embed.INDEX_FILE
    before = index.stat()
    assert not place(ANDROID, root, large, small).changed
    assert index.stat().st_ino == before.st_ino
    assert index.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", ["alter", "remove", "replace by a link"])
def test_a_damaged_copy_is_noticed_and_mended(root, small, damage):
    place(ANDROID, root, small)
    top = root / ANDROID.bundles
    assert embed.problems(top) == []
    file = top / "small/model.tflite"
    if damage == "alter":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    else:
        file.unlink()
    if damage == "replace by a link":
        file.symlink_to(small / "model.tflite")
    (problem,) = embed.problems(top)
    assert "small/model.tflite" in problem
    assert place(ANDROID, root, small).changed
    assert embed.problems(top) == []
    assert not file.is_symlink()


def test_an_unknown_file_in_a_bundle_is_a_problem_and_is_not_deleted(root, tmp_path):
    made = make_bundle(tmp_path / "package", "coreml")
    place(IOS, root, made)
    top = root / IOS.bundles
    extra = top / "package/model.mlpackage/Data/other.bin"
    extra.write_bytes(b"mine")
    assert embed.problems(top) == ["'package/model.mlpackage/Data/other.bin' does not belong there"]
    with pytest.raises(UserError, match=r"other\.bin' was not embedded.*move it away"):
        place(IOS, root, made)
    assert extra.read_bytes() == b"mine"
    other = extra.rename(extra.with_name("other.DS_Store"))
    assert len(embed.problems(top)) == 1
    other.rename(extra.with_name(".DS_Store"))
    assert embed.problems(top) == []


def test_nothing_embedded_is_not_as_it_should_be(root):
    (problem,) = embed.problems(root / IOS.bundles)
    assert "nothing was embedded" in problem


def test_a_check_against_other_bundles_names_the_difference(root, small, large):
    place(ANDROID, root, small)
    wanted = embed.index_of(ANDROID, embed.open_sources([large], [ANDROID]))
    found = embed.problems(root / ANDROID.bundles, wanted)
    assert found == ["missing: large; not asked for: small"]


def test_a_check_against_another_build_names_the_bundle(root, small, tmp_path):
    place(ANDROID, root, small)
    rebuilt = make_bundle(tmp_path / "again" / "small", options={"length": "other"})
    wanted = embed.index_of(ANDROID, embed.open_sources([rebuilt], [ANDROID]))
    found = embed.problems(root / ANDROID.bundles, wanted)
    assert found == ["'small' is another build than the one that was asked for"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"parity": (parity("passed"), parity("failed"))},
            "failed parity on litert 2 at length 32",
        ),
        ({"checks": (failed_check(),)}, r"failed the check 'task: F1': 12 points are lost"),
        ({"parity": (parity("not_run"),)}, "nothing was proven"),
        ({"parity": ()}, "nothing was proven"),
        ({"task": "classify"}, "of the task 'classify'"),
    ],
)
def test_a_bundle_that_no_app_may_hold(root, tmp_path, changes, sentence):
    made = make_bundle(tmp_path / "bad", **changes)
    with pytest.raises(UserError, match=sentence):
        embed.open_sources([made], [IOS])


@pytest.mark.parametrize("name", ["runtime", "app runtime"])
def test_what_was_found_of_another_runtime_is_no_bar(root, tmp_path, name):
    other = failed_check().model_copy(update={"check": name, "reason": "refused: too old"})
    made = make_bundle(tmp_path / "made", checks=(other,))
    assert place(IOS, root, made).changed


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_the_app_cannot_run(root, tmp_path, app, target):
    made = make_bundle(tmp_path / "made", target)
    if target in app.targets:
        assert place(app, root, made).changed
    else:
        with pytest.raises(
            UserError, match=rf"{app.name} app cannot run .*'{target}'; what can be"
        ):
            embed.open_sources([made], [app])


def test_an_altered_bundle(root, small):
    with (small / "model.tflite").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match="differs from its hash"):
        embed.open_sources([small], [IOS])


def test_a_bundle_of_a_newer_schema(root, small):
    path = small / bundle.MANIFEST_FILE
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(BundleError, match="schema"):
        embed.open_sources([small], [IOS])


def test_two_bundles_of_one_name(root, small, tmp_path):
    other = shutil.copytree(small, tmp_path / "elsewhere/small")
    with pytest.raises(UserError, match="two bundles are called 'small'"):
        embed.open_sources([small, other], [IOS])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t["normalizer"].update(clean_text=False), "normalizer has clean_text = false"),
        (lambda t: t["normalizer"].update(handle_chinese_chars=False), "handle_chinese_chars"),
        (lambda t: t["pre_tokenizer"].update(type="Whitespace"), "pre_tokenizer has type"),
        (lambda t: t["model"].update(max_input_chars_per_word=50), "max_input_chars_per_word = 50"),
        (lambda t: t["added_tokens"][0].update(lstrip=True), "lstrip = true"),
        (lambda t: t["added_tokens"][0].update(content="[NEW]"), r'added token "\[NEW\]"'),
    ],
)
def test_a_tokenizer_that_the_apps_would_follow_in_part(root, small, change, sentence):
    path = small / TOKENIZER_FILE
    tokenizer = json.loads(path.read_text())
    change(tokenizer)
    path.write_text(json.dumps(tokenizer))
    manifest = bundle.read_manifest(small)
    files = bundle.list_files(small)
    bundle.write_manifest(small, manifest.model_copy(update={"files": files}))
    with pytest.raises(UserError, match=sentence):
        embed.open_sources([small], [IOS])


def test_an_app_that_is_not_there(small, tmp_path):
    with pytest.raises(UserError, match=r"there is no ios app in .*--app"):
        place(IOS, tmp_path / "nowhere", small)


def test_a_failed_embed_leaves_everything_as_it_was(root, small, large, monkeypatch):
    place(ANDROID, root, small)
    before = held(ANDROID, root)

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging.os, "fsync", fail)
    with pytest.raises(UserError, match="disk is full"):
        place(ANDROID, root, large)
    assert held(ANDROID, root) == before
    assert [path.name for path in (root / ANDROID.bundles).parent.iterdir()] == ["bundles"]


def test_what_was_killed_between_its_two_renames_is_mended(root, small, large):
    place(ANDROID, root, small)
    top = root / ANDROID.bundles
    (top / "mine.txt").write_text("mine")
    top.rename(top.parent / ".bundles.old")
    (top.parent / ".bundles.partial").mkdir()
    place(ANDROID, root, large)
    files = held(ANDROID, root)
    assert files["mine.txt"] == b"mine"
    assert "large/model.pte" in files
    assert not any(name.startswith("small/") for name in files)
    assert [path.name for path in top.parent.iterdir()] == ["bundles"]


def test_two_at_once_do_not_mix(root, small, large):
    top = root / ANDROID.bundles
    with (
        staging.replacing(top),
        pytest.raises(UserError, match="another process is writing"),
    ):
        place(ANDROID, root, small)
    place(ANDROID, root, large)
    assert embed.problems(top) == []


def test_a_bundle_that_changes_while_it_is_copied(root, small, monkeypatch):
    sources = embed.open_sources([small], [ANDROID])
    (small / "model.tflite").write_bytes(b"another build")
    with pytest.raises(UserError, match="changed while they were copied"):
        embed.embed(ANDROID, root, sources)
    assert not (root / ANDROID.bundles).exists()
