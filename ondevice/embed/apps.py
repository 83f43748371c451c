"""The demo apps: where each keeps its bundles, and what it can run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class App:
    """A demo app: where it keeps bundles, and what it can run.

    Attributes:
        source: the directory that must be there, or this is no app.
        bundles: where the bundles go.
        architectures: what it is built for; models are the same file for all of them.
        passages: whether the sample passages go with the bundles; the Android app has them
            among its resources.
    """

    name: str
    source: PurePosixPath
    bundles: PurePosixPath
    targets: tuple[str, ...]
    architectures: tuple[str, ...]
    passages: bool


APPS: dict[str, App] = {
    "ios": App(
        name="ios",
        source=PurePosixPath("ios"),
        bundles=PurePosixPath("ios/OnDeviceQA/Bundles"),
        targets=("coreml", "executorch", "tflite"),
        architectures=("arm64",),
        passages=True,
    ),
    "android": App(
        name="android",
        source=PurePosixPath("android/app/src/main"),
        bundles=PurePosixPath("android/app/src/main/assets/bundles"),
        targets=("tflite", "executorch"),
        architectures=("arm64-v8a", "x86_64"),
        passages=False,
    ),
}
