"""Signs with a hardware device through the `hwi` command line program, which must be installed for it.

hwi 3 answers one line of JSON on standard output: ``enumerate`` a list of objects (``type``, ``model``, ``path``,
``fingerprint``, and ``error`` with ``code`` where a device is not ready), ``signtx`` an object with ``psbt`` and ``signed``,
and whatever fails an object with ``error`` (text) and ``code`` (a negative number).
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from payments.signer.refusal import DeviceFailed

PROGRAM = "hwi"
# A person must look at the device and press its buttons.
SIGN_TIMEOUT_S = 600
LIST_TIMEOUT_S = 60
_CHAINS = {"regtest": "regtest", "signet": "signet", "testnet3": "test", "testnet4": "testnet4"}


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is plugged in; ``error`` says why it is not ready, and a locked one has no ``fingerprint``."""

    model: str
    fingerprint: str
    error: str


def enumerate_(network: str) -> list[Device]:
    """Return the devices that are plugged in; raise DeviceFailed."""
    found = _run(network, [], "enumerate", LIST_TIMEOUT_S)
    if not isinstance(found, list) or not all(isinstance(device, dict) for device in found):
        raise DeviceFailed("hwi_reply", "hwi did not answer with a list of devices.")
    return [
        Device(
            model=str(device.get("model") or "?"),
            fingerprint=str(device.get("fingerprint") or ""),
            error=str(device.get("error") or ""),
        )
        for device in found
    ]


def require(network: str, fingerprint: str) -> None:
    """Raise DeviceFailed, naming what is there, unless the device with this master fingerprint is ready."""
    devices = enumerate_(network)
    for device in devices:
        if device.fingerprint == fingerprint:
            if device.error:
                raise DeviceFailed("hwi_device", f"The device is not ready: {device.error}")
            return
    there = ", ".join(f"{found.model} [{found.fingerprint or found.error or 'locked'}]" for found in devices)
    raise DeviceFailed(
        "hwi_missing_device", f"No device has the key [{fingerprint}]; plugged in: {there or 'none'}."
    )


def sign(psbt: str, *, network: str, fingerprint: str) -> str:
    """Return the PSBT as the device signed it, not yet checked; raise DeviceFailed."""
    found = _run(network, ["--fingerprint", fingerprint], f"signtx {psbt}", SIGN_TIMEOUT_S)
    if not isinstance(found, dict) or not isinstance(found.get("psbt"), str):
        raise DeviceFailed("hwi_reply", "hwi did not answer with a PSBT.")
    return str(found["psbt"])


def _run(network: str, options: list[str], command: str, timeout_s: int) -> Any:
    program = shutil.which(PROGRAM)
    if program is None:
        raise DeviceFailed(
            "hwi_missing", f"The program {PROGRAM} is not installed; a hardware device needs it."
        )
    # The command goes through standard input: a large PSBT is longer than an argument may be.
    arguments = [program, "--stdin", "--chain", _CHAINS[network], *options]
    try:
        reply = subprocess.run(
            arguments, input=f"{command}\n\n", capture_output=True, text=True, timeout=timeout_s, check=False
        )
        found = json.loads(reply.stdout)
    except subprocess.TimeoutExpired as error:
        raise DeviceFailed("hwi_timeout", f"hwi did not answer within {timeout_s} s.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DeviceFailed("hwi_reply", "hwi did not answer in JSON.") from error
    if isinstance(found, dict) and "error" in found:
        raise DeviceFailed(
            "hwi_refused", f"hwi: {found['error']} (code {found.get('code')})", device_code=found.get("code")
        )
    return found
