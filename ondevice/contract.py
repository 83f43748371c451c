"""The contract with the phone apps as JSON Schema, generated from the Python types.

python -m ondevice.contract            # write mobile_demo/contract/*.schema.json
python -m ondevice.contract --check    # exit code 3 if a file there is not what would be written
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ondevice import cli
from ondevice.bench.results import BenchmarkResult
from ondevice.errors import GateError, OnDeviceError, UserError
from ondevice.golden_records import Record
from ondevice.manifest import Manifest

DIRECTORY = Path("mobile_demo/contract")
# File name: what a document of that schema is (golden.jsonl: one line of it).
SCHEMAS: dict[str, Any] = {
    "manifest.schema.json": Manifest,
    "golden.schema.json": Record,
    "benchmark.schema.json": BenchmarkResult,
}


def generate(name: str) -> str:
    """Return the text of one of :data:`SCHEMAS`."""
    schema = TypeAdapter(SCHEMAS[name]).json_schema(mode="validation")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def stale(directory: Path) -> list[str]:
    """Return the names of the schemas that a directory lacks or holds otherwise."""
    return [name for name in SCHEMAS if _read(directory / name) != generate(name)]


def write(directory: Path) -> None:
    """Write every schema into a directory.

    Raises:
        UserError: it cannot be written.
    """
    for name in SCHEMAS:
        try:
            (directory / name).write_text(generate(name), encoding="utf-8", newline="\n")
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"cannot write '{directory / name}': {reason}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Write the schemas, or check them; return the exit code."""
    parser = cli.Parser(prog="python -m ondevice.contract", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    parser.add_argument(
        "--out", type=Path, default=DIRECTORY, metavar="DIR", help="default: %(default)s"
    )
    try:
        arguments = parser.parse_args(argv)
        if arguments.check:
            if found := stale(arguments.out):
                raise GateError(
                    f"not what the types say: {', '.join(found)}; type: python -m ondevice.contract"
                )
        else:
            write(arguments.out)
    except OnDeviceError as error:
        sys.stderr.write(f"ondevice: {error}\n")
        return error.exit_code
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


if __name__ == "__main__":
    sys.exit(main())
