"""Which phones adb sees, which one is meant, and why it cannot be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ondevice.errors import UserError

_LISTED = re.compile(r"^(?P<serial>\S+)\s+(?P<state>no permissions\b.*|\S+)(?P<rest>.*)$")

_STATES = {
    "unauthorized": (
        "has not allowed this computer; unlock it and accept 'Allow USB debugging?', then type the"
        " command again"
    ),
    "authorizing": "is still deciding whether to allow this computer; try again in a moment",
    "connecting": "is still connecting; try again in a moment",
    "offline": "is offline; unplug it and plug it in again, or type 'adb reconnect offline'",
    "bootloader": "is in its bootloader; start Android on it",
    "recovery": "is in recovery mode; start Android on it",
    "rescue": "is in rescue mode; start Android on it",
    "sideload": "is in sideload mode; start Android on it",
    "host": "is a computer, not a phone",
}


class DeviceError(UserError):
    """A phone cannot be used, or refused a request."""


class DeviceLostError(DeviceError):
    """The phone went away while it was being used."""


class DeviceTimeoutError(DeviceError):
    """The phone did not answer in time."""


class DeviceStorageError(DeviceError):
    """The phone has no room."""


@dataclass(frozen=True)
class Listed:
    """A line of ``adb devices -l``. `state` is adb's own word: device, unauthorized, offline, …"""

    serial: str
    state: str
    model: str = ""

    def __str__(self) -> str:
        about = [self.model.replace("_", " ")] if self.model else []
        about += [self.state] if self.state != "device" else []
        return self.serial + (f" ({', '.join(about)})" if about else "")


def parse_devices(text: str) -> list[Listed]:
    """Read ``adb devices -l``."""
    _, _, body = text.partition("List of devices attached")
    found = []
    for line in body.splitlines():
        match = _LISTED.match(line.strip())
        if match:
            model = re.search(r"\bmodel:(\S+)", match["rest"])
            found.append(Listed(match["serial"], match["state"].strip(), model[1] if model else ""))
    return found


def choose(listed: Sequence[Listed], serial: str | None) -> Listed:
    """Return the phone to use.

    Raises:
        DeviceError: there is none, several and no serial, none of that serial, or it is not ready.
    """
    if not listed:
        raise DeviceError(
            "no Android device is connected; plug one in with USB debugging on, or type"
            " 'adb connect HOST:PORT', and see what 'adb devices' says"
        )
    there = ", ".join(map(str, listed))
    if serial is None:
        if len(listed) > 1:
            raise DeviceError(
                f"{len(listed)} Android devices are connected; name one with"
                f" --device android:SERIAL: {there}"
            )
        chosen = listed[0]
    else:
        matching = [one for one in listed if one.serial == serial]
        if not matching:
            raise DeviceError(f"no Android device '{serial}' is connected; connected: {there}")
        chosen = matching[0]
    if chosen.state != "device":
        raise _not_ready(chosen)
    return chosen


def _not_ready(device: Listed) -> DeviceError:
    if device.state.startswith("no permissions"):
        return DeviceError(
            f"the system does not let adb open '{device.serial}' ({device.state}); on Linux,"
            " install Android's udev rules"
            " (Debian: apt-get install android-sdk-platform-tools-common)"
        )
    reason = _STATES.get(device.state, f"is in the state '{device.state}', not ready for use")
    return DeviceError(f"the Android device '{device.serial}' {reason}")
