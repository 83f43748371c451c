"""A thin client around Xcode's ``xcrun devicectl``: JSON documents in, sentences out.

devicectl writes ``--json-output FILE`` for tools and says that what it prints may change. A
document is ``{"info": {"outcome": …}, "result": …}`` or, with an ``error``, a chain of errors of
which the innermost says most. Forms after Xcode 16; see the tests for what was not recorded.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondevice.bench.parts import plain
from ondevice.bench.xcode import PhoneError, call
from ondevice.untrusted import parse_json

QUICK_SECONDS = 60.0


@dataclass(frozen=True)
class Phone:
    """A device that devicectl lists.

    Attributes:
        udid: its hardware's id; `identifier` is CoreDevice's own. Either names it.
        name: what its owner calls it.
        title: "iPhone 15".
        problem: why it cannot be used now, as the rest of a sentence; "" if it can.
    """

    udid: str
    identifier: str
    name: str
    title: str = ""
    problem: str = ""

    def __str__(self) -> str:
        about = ", ".join(part for part in (self.name, self.title, self.problem) if part)
        return f"{self.udid or self.identifier} ({about})"


class Devicectl:
    """devicectl, with a limit of time for each request."""

    def __init__(self, xcrun: Path) -> None:
        self._xcrun = xcrun

    def list(self) -> list[Phone]:
        """Return the iPhones and iPads that are known to this Mac.

        Raises:
            PhoneError: devicectl fails.
        """
        return parse_devices(self.run(["list", "devices"], QUICK_SECONDS, "listing devices"))

    def launch(
        self, phone: Phone, app: str, variables: Mapping[str, str], seconds: float
    ) -> tuple[int, str]:
        """Run an installed app to its end; return the exit code and the end of what it printed.

        Raises:
            PhoneError: it cannot be launched, or does not end in time.
        """
        arguments = ["device", "process", "launch", "--device", _id(phone)]
        arguments += ["--terminate-existing", "--console"]
        arguments += ["--environment-variables", json.dumps(dict(variables)), app]
        what = f"running '{app}'"
        code, said, document = self._call(arguments, seconds, what)
        if "error" in document:
            raise PhoneError(f"{what} failed: {error_text(document)}")
        return code, said[-4000:]

    def copy_from(self, phone: Phone, app: str, source: str, place: Path, seconds: float) -> None:
        """Copy a file out of an app's container. devicectl does not overwrite `place`.

        Raises:
            PhoneError: there is no such file, or no such app.
        """
        arguments = ["device", "copy", "from", "--device", _id(phone)]
        arguments += ["--domain-type", "appDataContainer", "--domain-identifier", app]
        arguments += ["--source", source, "--destination", str(place)]
        self.run(arguments, seconds, f"copying '{source}' of '{app}'")
        if not place.is_file():
            raise PhoneError(f"copying '{source}' of '{app}' gave no file")

    def run(self, arguments: Sequence[str], seconds: float, what: str) -> dict[str, Any]:
        """Run devicectl; return its document.

        Raises:
            PhoneError: it fails, says so, or does not answer.
        """
        code, said, document = self._call(arguments, seconds, what)
        if "error" in document:
            raise PhoneError(f"{what} failed: {error_text(document)}")
        if code != 0 or not document:
            last = [line for line in said.splitlines() if line.strip()][-1:]
            raise PhoneError(
                f"{what} failed: {plain(last[0], 300) if last else f'exit code {code}'}"
            )
        return document

    def _call(
        self, arguments: Sequence[str], seconds: float, what: str
    ) -> tuple[int, str, dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="ondevice-bench-") as name:
            path = Path(name) / "answer.json"
            # Before the positional arguments of the subcommand, which end the options.
            command = ["devicectl", *_with_output(arguments, path)]
            done = call(self._xcrun, command, seconds, what)
            return done.returncode, f"{done.stdout}\n{done.stderr}", _read(path)


def _with_output(arguments: Sequence[str], path: Path) -> list[str]:
    """Put ``--json-output`` behind the words of the subcommand."""
    words = next((at for at, one in enumerate(arguments) if one.startswith("-")), len(arguments))
    return [*arguments[:words], "--json-output", str(path), *arguments[words:]]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _id(phone: Phone) -> str:
    return phone.udid or phone.identifier


def parse_devices(document: Mapping[str, Any]) -> list[Phone]:
    """Read ``devicectl list devices``: physical iPhones and iPads; the rest is left out."""
    listed = _dict(document, "result").get("devices")
    found = []
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict):
            continue
        hardware, device = _dict(one, "hardwareProperties"), _dict(one, "deviceProperties")
        kind = _text(hardware, "deviceType") or _text(hardware, "productType")
        if not kind.startswith(("iPhone", "iPad")) or _text(hardware, "reality") == "virtual":
            continue
        found.append(
            Phone(
                udid=_text(hardware, "udid"),
                identifier=_text(one, "identifier"),
                name=_text(device, "name") or "unnamed",
                title=_text(hardware, "marketingName"),
                problem=_problem(_dict(one, "connectionProperties"), device),
            )
        )
    return found


def _problem(connection: Mapping[str, Any], device: Mapping[str, Any]) -> str:
    if _text(connection, "pairingState") not in ("paired", ""):
        return "not paired with this Mac: unlock it, trust this computer"
    if _text(device, "developerModeStatus") == "disabled":
        return "Developer Mode is off: Settings, Privacy & Security, Developer Mode"
    # "disconnected" only means that no tunnel is open yet; devicectl opens one.
    if _text(connection, "tunnelState") == "unavailable":
        return "not reachable: plug it in and unlock it"
    return ""


def choose(phones: Sequence[Phone], identifier: str | None) -> Phone:
    """Return the phone to use.

    Raises:
        PhoneError: there is none, several and no identifier, none of that, or it is not ready.
    """
    if not phones:
        raise PhoneError(
            "no iPhone is known to this Mac; plug one in, unlock it, and trust the Mac"
        )
    there = ", ".join(map(str, phones))
    if identifier is not None:
        matching = [one for one in phones if identifier in (one.udid, one.identifier, one.name)]
        if not matching:
            raise PhoneError(f"no iPhone '{identifier}' is known to this Mac; known: {there}")
    else:
        # A Mac remembers every phone that it ever met.
        matching = [one for one in phones if not one.problem] or list(phones)
    if len(matching) > 1:
        raise PhoneError(f"several iPhones are there; name one with --device ios:UDID: {there}")
    if matching[0].problem:
        raise PhoneError(f"the iPhone '{matching[0].name}' is {matching[0].problem}")
    return matching[0]


def error_text(document: Mapping[str, Any]) -> str:
    """Return what an error says, the innermost reason last."""
    found: list[str] = []
    error: Any = document.get("error")
    while isinstance(error, dict) and len(found) < 10:
        info = _dict(error, "userInfo")
        for key in ("NSLocalizedDescription", "NSLocalizedFailureReason"):
            text = _text(_dict(info, key), "string") or _text(info, key)
            if text and text not in found:
                found.append(text)
        if not found:
            found.append(f"{_text(error, 'domain')} {error.get('code')}")
        error = _dict(info, "NSUnderlyingError").get("error")
    return plain(" ".join(found)) or "no reason was given"


def _dict(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return plain(found, 200) if isinstance(found, str) else ""
