"""Which bundles an app may hold: those that passed, that it can run, and that it reads as we do.

What binds are parity and the checks of the artifact itself. A finding about another runtime, tried
with ``verify --runtime`` or named with ``--app-runtime``, restricts what the bundle promises of
its runtimes and is no bar here: the app brings a runtime of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ondevice.embed.apps import App
from ondevice.errors import BundleError, UserError
from ondevice.manifest import Manifest
from ondevice.tokenizer import TOKENIZER_FILE
from ondevice.untrusted import parse_json
from ondevice.verify.promises import binding_failures

# The special tokens that the apps find in a text, as the reference does.
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# What the apps' WordPiece cannot be told otherwise; lower case and accents are in the manifest.
WORDPIECE: dict[str, dict[str, Any]] = {
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    },
}
# How an added token is found: as it stands, anywhere.
ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def check(directory: Path, manifest: Manifest, apps: Sequence[App]) -> None:
    """Refuse a bundle that an app must not hold.

    Raises:
        UserError: it failed a check, nothing was proven of it, or none of the apps can run it.
        BundleError: its tokenizer cannot be read.
    """
    if manifest.task != "qa":
        raise UserError(
            f"'{directory}' is a bundle of the task '{manifest.task}'; the apps answer questions:"
            " embed bundles of the task 'qa'"
        )
    target = manifest.artifact.target
    if not any(target in app.targets for app in apps):
        named = " and ".join(f"the {app.name} app" for app in apps)
        runs = dict.fromkeys(name for app in apps for name in app.targets)
        raise UserError(
            f"{named} cannot run '{directory}', a bundle of the target '{target}'; what can be run"
            f" there: {', '.join(runs)}"
        )
    _check_evidence(directory, manifest)
    _check_tokenizer(directory, manifest)


def _check_evidence(directory: Path, manifest: Manifest) -> None:
    for row in manifest.parity:
        if row.status == "failed":
            raise UserError(
                f"'{directory}' failed parity on {row.runtime} {row.version} at length"
                f" {row.length}; an app gets only what passed: build it with another --scheme"
            )
    for check in binding_failures(manifest.checks):
        reason = f": {check.reason}" if check.reason else ""
        raise UserError(
            f"'{directory}' failed the check '{check.check}'{reason}; an app gets only what"
            f" passed: 'ondevice verify {directory}' shows all of it"
        )
    if not any(row.status == "passed" for row in manifest.parity):
        raise UserError(
            f"nothing was proven of '{directory}': its parity did not run; build it where its"
            " runtime is installed"
        )


def _check_tokenizer(directory: Path, manifest: Manifest) -> None:
    """Refuse a tokenizer that the apps would follow only in part.

    They read the vocabulary and two options; what else ``tokenizer.json`` may say must be BERT's.
    """
    if manifest.tokenizer.kind != "wordpiece":
        raise UserError(
            f"'{directory}' has a {manifest.tokenizer.kind} tokenizer; the apps know wordpiece"
        )
    for difference in _differences(_read(directory / TOKENIZER_FILE)):
        raise UserError(
            f"the apps would tokenize otherwise than '{directory}': its {difference}, which they"
            " do not know"
        )


def _differences(tokenizer: dict[str, Any]) -> Iterable[str]:
    for part, expected in WORDPIECE.items():
        found = tokenizer.get(part) or {}
        for key, value in expected.items():
            if found.get(key) != value:
                yield f"{part} has {key} = {json.dumps(found.get(key))}"
    for token in tokenizer.get("added_tokens") or ():
        if token["content"] not in SPECIALS:
            yield f"tokenizer has the added token {json.dumps(token['content'])}"
        for key, value in ADDED.items():
            if token[key] != value:
                yield f"added token {token['content']} has {key} = {json.dumps(token[key])}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"'{path}' cannot be read: {error}") from error
    return content
