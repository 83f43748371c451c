"""Download a checkpoint from the Hugging Face hub, or say quickly why not."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import getproxies

from ondevice.errors import UserError

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
    "README.md",
]

CONNECT_SECONDS = 3.0

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a hub id: ``name`` or ``owner/name``."""
    return _HUB_ID.fullmatch(text) is not None


def download(hub_id: str, *, embedded: tuple[str, ...]) -> Path:
    """Return the directory of a hub checkpoint, from the local cache or the network.

    Raises:
        UserError: it is not cached and the hub does not answer, or has no such checkpoint.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=PATTERNS, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    ways_out = f"give a local directory, or one of the embedded models: {', '.join(embedded)}"
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f"'{hub_id}' is not in the local cache and HF_HUB_OFFLINE is set; {ways_out}"
        )
    if not _reachable(constants.ENDPOINT, CONNECT_SECONDS):
        raise UserError(
            f"'{hub_id}' is neither a directory nor cached, and the model hub is not reachable;"
            f" {ways_out}"
        )
    try:
        return Path(snapshot_download(hub_id, allow_patterns=PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"'{hub_id}' cannot be downloaded: {reason}; {ways_out}") from error


def _reachable(endpoint: str, seconds: float) -> bool:
    """Whether a connection opens within `seconds`, name resolution included.

    getaddrinfo cannot be given a time limit, hence the thread.
    """
    scheme = urlparse(endpoint).scheme
    url = urlparse(getproxies().get(scheme, endpoint))
    answered = threading.Event()

    def connect() -> None:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            socket.create_connection((url.hostname or "", port), timeout=seconds).close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
