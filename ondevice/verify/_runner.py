"""Run an artifact in a process of its own: ``python _runner.py JOB``. Not imported.

The interpreter is that of an environment with little in it: NumPy, the runtime, and this package
on its path. Whatever happens to this process, what it had found out by then is in the events
file, one JSON object a line:

- ``imported``: the runtime can be imported;
- ``loaded``: it took the artifact; its name and version;
- ``answered``: the outputs of one length are in ``<length>.npz``;
- ``refused``: with the reason, and the length if it concerns only that;
- ``absent``, likewise: something cannot be imported, which says nothing of the artifact.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(job: dict[str, Any]) -> None:
    """Load the job's artifact and run its cases, length by length."""
    out = Path(job["out"])
    with (out / "events.jsonl").open("a", encoding="utf-8") as stream:

        def tell(**event: object) -> None:
            stream.write(json.dumps(event) + "\n")
            stream.flush()

        try:
            for module in job["modules"]:
                importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a broken wheel may raise anything
            tell(event="absent", reason=describe(error))
            return
        tell(event="imported")
        try:
            target = importlib.import_module("ondevice.targets").TARGETS[job["target"]]
            runner = target.load(Path(job["artifact"]), job["roles"], threads=job["threads"])
        except Exception as error:  # noqa: BLE001 - any other error is a refusal
            tell(event=kind_of(error), reason=describe(error))
            return
        tell(event="loaded", runtime=runner.runtime, version=runner.version)
        with np.load(job["inputs"]) as inputs:
            for length in job["lengths"]:
                try:
                    outputs = run_length(runner, inputs, str(length))
                except Exception as error:  # noqa: BLE001 - any other error is a refusal
                    tell(event=kind_of(error), length=length, reason=describe(error))
                    continue
                np.savez(out / f"{length}.npz", **outputs)
                tell(event="answered", length=length)


def run_length(runner: Any, inputs: Any, length: str) -> dict[str, Any]:
    """Run the cases of one length; inputs go by length/case/name, outputs by case/role."""
    cases: dict[str, dict[str, Any]] = {}
    for key in inputs.files:
        of, case, name = key.split("/")
        if of == length:
            cases.setdefault(case, {})[name] = inputs[key]
    return {
        f"{case}/{role}": np.asarray(value)
        for case, named in cases.items()
        for role, value in runner.run(named).items()
    }


def kind_of(error: BaseException) -> str:
    """Tell a package that is lacking here from a runtime that does not take the artifact."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ImportError):
            return "absent"
        cause = cause.__cause__
    return "refused"


def describe(error: BaseException) -> str:
    """Return an error on one line, with the one that caused it if it is not ours."""
    text = " ".join(str(error).split())
    # Our own errors are sentences; those of others need their name.
    if text and type(error).__module__.startswith("ondevice."):
        return text
    cause = f" ({describe(error.__cause__)})" if error.__cause__ else ""
    return f"{type(error).__name__}: {text}{cause}"


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
