"""Download a checkpoint from the Hugging Face hub, or say quickly why not."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from ondevice.errors import UserError
from ondevice.untrusted import parse_json

# What a checkpoint needs and no more: no pickles, no TensorFlow or Flax copies.
PATTERNS = [
    "config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "1_Pooling/config.json",
    "modules.json",
    "1_Pooling/config.json",
    "README.md",
]

# An answer comes within 5 s in all; starting Python takes about one of them on a busy machine.
ANSWER_SECONDS = 3.0

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a hub id: ``name`` or ``owner/name``."""
    return _HUB_ID.fullmatch(text) is not None


def download(hub_id: str, *, embedded: tuple[str, ...]) -> Path:
    """Return the directory of a hub checkpoint, from the local cache or the network.

    Raises:
        UserError: it is not cached and the hub does not answer, or has no such checkpoint.
    """
    # The constants alone: the library itself takes a second to import, for which nothing is
    # gained where nothing is cached and nothing answers.
    from huggingface_hub import constants

    ways_out = f"give a local directory, or one of the embedded models: {', '.join(embedded)}"
    folder = Path(constants.HF_HUB_CACHE, f"models--{hub_id.replace('/', '--')}")
    cached = _find_cached(hub_id) if folder.is_dir() else None
    if cached is not None:
        return cached
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f"'{hub_id}' is not in the local cache and HF_HUB_OFFLINE is set; {ways_out}"
        )
    if not _answers(constants.ENDPOINT, ANSWER_SECONDS):
        raise UserError(
            f"'{hub_id}' is neither a directory nor cached, and the model hub is not reachable;"
            f" {ways_out}"
        )
    return _fetch(hub_id, ways_out)


def _find_cached(hub_id: str) -> Path | None:
    """Return the complete snapshot in the local cache, if there is one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(hub_id, allow_patterns=PATTERNS, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    directory = Path(found)
    return directory if _is_complete(directory) else None


def _is_complete(directory: Path) -> bool:
    """Whether a cached snapshot has all that a checkpoint needs.

    Other programs cache single files: weights without a tokenizer, or some of the shards.
    """
    present = {path.name for path in directory.iterdir()}
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            weights = set(parse_json(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
    else:
        weights = {"model.safetensors"}
    tokenizers = ({"tokenizer.json"}, {"vocab.txt"}, {"vocab.json", "merges.txt"})
    return {"config.json", *weights} <= present and any(files <= present for files in tokenizers)


def _fetch(hub_id: str, ways_out: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=PATTERNS))
    except RepositoryNotFoundError as error:
        raise UserError(
            f"the model hub has no '{hub_id}', or it is private and needs `hf auth login`;"
            f" {ways_out}"
        ) from error
    # The HTTP client's errors have no common base, and the client changes between versions.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"'{hub_id}' cannot be downloaded: {reason}; {ways_out}") from error


def _answers(endpoint: str, seconds: float) -> bool:
    """Whether the hub answers a request within `seconds`, through a proxy where one is set.

    An open connection says too little: a proxy or a captive network accepts and stays silent.
    Name resolution cannot be given a time limit, hence the thread.
    """
    answered = threading.Event()

    def ask() -> None:
        import ssl
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        try:
            urlopen(Request(endpoint, method="HEAD"), timeout=seconds).close()
        except HTTPError:
            pass  # An answer, if not the one asked for.
        except URLError as error:
            # The downloader has certificates of its own; let it judge.
            if not isinstance(error.reason, ssl.SSLCertVerificationError):
                return
        except (OSError, ValueError, HTTPException):
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
