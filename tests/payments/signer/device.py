"""A program called hwi for tests: the command line of hwi 3.2, its JSON and error codes, with a device that really signs.

Beside it lies ``device.json``: ``words`` of a key in software, or ``rpc`` and ``wallet`` of a node without a network that
holds the key; and ``state``: ready, locked, canceled, busy or refusing.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import wallycore

from deploy.local.rpc import Rpc
from tests.payments.signer import scene

# hwi's own numbers (hwilib/errors.py).
MISSING_ARGUMENTS, DEVICE_CONN_ERROR, NOT_READY, UNKNOWN, CANCELED, BUSY = -2, -3, -12, -13, -14, -15
NO_DEVICE_TYPE = -1
FAILS = {
    "canceled": ("Signing was cancelled by the user", CANCELED),
    "busy": ("Device is busy", BUSY),
    "refusing": ("Coldcard Error: \x1b[2J\u202e policy", UNKNOWN),
}


class Parser(argparse.ArgumentParser):
    """Answers wrong arguments in JSON, with exit code 2, as hwi does."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(json.dumps({"error": f"hwi: error: {message}", "code": MISSING_ARGUMENTS}))
        self.exit(2)


def main(folder: Path) -> None:
    """Answer one command."""
    print(json.dumps(answer(parse(sys.argv[1:]), json.loads((folder / "device.json").read_text()))))


def parse(words: list[str]) -> argparse.Namespace:
    """Read the arguments; with --stdin more of them, until an empty line or the end."""
    if "--stdin" in words:
        for line in sys.stdin:
            if line == "\n":
                break
            words = [*words, *shlex.split(line)]
    top = Parser(prog="hwi")
    top.add_argument("--stdin", action="store_true")
    top.add_argument("--chain", choices=("main", "test", "regtest", "signet", "testnet4"), default="main")
    top.add_argument("--fingerprint", "-f")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("enumerate")
    commands.add_parser("signtx").add_argument("psbt")
    return top.parse_args(words)


def answer(asked: argparse.Namespace, device: dict[str, Any]) -> Any:
    """Return what hwi prints."""
    listed = [listing(device)]
    if asked.command == "enumerate":
        return listed
    if asked.fingerprint is None:
        message = "You must specify a device type or fingerprint for all commands except enumerate"
        return {"error": message, "code": NO_DEVICE_TYPE}
    if listed[0].get("fingerprint") != asked.fingerprint:
        message = "Could not find device with specified fingerprint or type"
        return {"error": message, "code": DEVICE_CONN_ERROR}
    if device["state"] in FAILS:
        message, code = FAILS[device["state"]]
        return {"error": message, "code": code}
    signed = sign(asked.psbt, device)
    return {"psbt": signed, "signed": signed != asked.psbt}


def listing(device: dict[str, Any]) -> dict[str, Any]:
    """Return how hwi lists the device: a locked one has no fingerprint yet."""
    found = {
        "type": "coldcard",
        "model": "coldcard",
        "label": None,
        "path": "0001:0004:00",
        "needs_pin_sent": False,
        "needs_passphrase_sent": False,
    }
    if device["state"] == "locked":
        return found | {"error": "Could not open client: locked", "code": NOT_READY}
    return found | {"fingerprint": device["fingerprint"]}


def sign(psbt: str, device: dict[str, Any]) -> str:
    """Return the PSBT with the signatures of the device's key."""
    if "rpc" in device:
        reply = Rpc(device["rpc"], wallet=device["wallet"]).call(
            "walletprocesspsbt", psbt=psbt, sighashtype="ALL", finalize=False
        )
        return str(reply["psbt"])
    parsed = wallycore.psbt_from_base64(psbt, 0)
    wallycore.psbt_sign_bip32(parsed, scene.master(device["words"]), wallycore.EC_FLAG_GRIND_R)
    return str(wallycore.psbt_to_base64(parsed, 0))
