"""The ``ondevice`` command: finds the verb, runs it, and turns errors into exit codes.

Exit codes: 0 done; 2 the user can fix it; 3 built but failed a gate, nothing published;
1 a defect of ours; 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn, Protocol

from ondevice import __version__
from ondevice.errors import OnDeviceError, UserError, choices

INTERRUPTED = 130


class CommandModule(Protocol):
    """What a module in :mod:`ondevice.commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command; return its exit code."""


@dataclass(frozen=True)
class Command:
    """A verb: where it lives, and what it is for."""

    module: str
    summary: str


# Only the module of the verb that was typed is imported.
COMMANDS: dict[str, Command] = {
    "build": Command("ondevice.commands.build", "lower a checkpoint to bundles for the phone"),
    "sensitivity": Command(
        "ondevice.commands.sensitivity", "say which parts of a model a scheme hurts"
    ),
    "ask": Command("ondevice.commands.ask", "ask a question-answering bundle a question"),
    "distill": Command("ondevice.distill.cli", "fine-tune a teacher, distil a student"),
    "verify": Command("ondevice.commands.verify", "prove that a bundle is right, with evidence"),
    "bench": Command("ondevice.commands.bench", "measure latency, memory and score of bundles"),
    "report": Command("ondevice.commands.report", "turn results into tables and pictures"),
    "embed": Command("ondevice.commands.embed", "put bundles into the demo apps"),
    "search": Command("ondevice.commands.search", "find the best bundle that an app can afford"),
    "doctor": Command("ondevice.commands.doctor", "say what is installed and what can run here"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what is left over is an error of the verb that was typed, and of no group."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            what = "unknown option" if rest[0].startswith("-") else "unexpected argument"
            name = rest[0].partition("=")[0]
            near = difflib.get_close_matches(name, self._option_string_actions, 1, 0.75)
            self.error(f"{what} '{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
        return found, rest

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; type '{self.prog} --help' for what there is")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _run(arguments)
        # Here, where a closed pipe is still caught, and not when the interpreter ends.
        sys.stdout.flush()
        return code
    except OnDeviceError as error:
        sys.stderr.write(f"ondevice: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("ondevice: interrupted; nothing was left half-written\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, for example `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(_overview())
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"ondevice {__version__}\n")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise UserError(choices("command", name, COMMANDS))
    command = COMMANDS[name]
    module: CommandModule = importlib.import_module(command.module)
    parser = Parser(prog=f"ondevice {name}", description=command.summary, allow_abbrev=False)
    module.add_arguments(parser)
    return module.run(parser.parse_args(arguments[1:]))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ondevice COMMAND …",
            "",
            *lines,
            "",
            "'ondevice COMMAND --help' says more, 'ondevice --version' which version this is.",
            "",
        ]
    )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
