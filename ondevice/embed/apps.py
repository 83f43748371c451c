"""The demo apps: where each keeps its bundles, and what it can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True)
class App:
    """A demo app: where it keeps bundles, and what it can run.

    Attributes:
        source: the directory that must be there, or this is no app.
        bundles: where the bundles go.
        architectures: what it is built for; models are the same file for all of them.
        passages: whether the sample passages go with the bundles.
        switched_off: of the targets, those that the app runs only after a change to its project;
            what is to be changed, as a sentence's end.
    """

    name: str
    source: PurePosixPath
    bundles: PurePosixPath
    targets: tuple[str, ...]
    architectures: tuple[str, ...]
    passages: bool
    switched_off: Mapping[str, str] = field(default_factory=dict, hash=False)


APPS: dict[str, App] = {
    "ios": App(
        name="ios",
        source=PurePosixPath("ios"),
        bundles=PurePosixPath("ios/OnDeviceQA/Bundles"),
        targets=("coreml", "executorch", "tflite"),
        architectures=("arm64",),
        passages=True,
        switched_off={
            "executorch": 'write "ExecuTorch" into `runtimes` in ios/QARuntime/Package.swift',
            "tflite": "make a module TensorFlowLite a dependency of the target QARuntime in"
            " ios/QARuntime/Package.swift (Google publishes no Swift package)",
        },
    ),
    "android": App(
        name="android",
        source=PurePosixPath("android/app/src/main"),
        bundles=PurePosixPath("android/app/src/main/assets/bundles"),
        targets=("tflite", "executorch"),
        architectures=("arm64-v8a", "x86_64"),
        passages=True,
    ),
}
