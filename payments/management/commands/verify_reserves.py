"""Checks a proof of reserves, from its file alone or against a statement, with the node; exits 1 with the rule it breaks."""

import csv
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from govpay.errors import GovPayError
from payments.models import HoldingAddress
from payments.onchain import network
from payments.onchain.reserves import ReservesNotProved
from payments.reserve import proving
from payments.services.reserve_proofs import FORMAT

FIELDS = {"format": str, "network": str, "scope": str, "message": str, "height": int, "amount_sat": int}
FIELDS |= {"outputs": list, "tx": str}
OF_STATEMENT = ("scope", "network", "address", "badge", "amount_sat", "height")


class Command(BaseCommand):
    help = "Check a proof of reserves (BIP-127) against the unspent outputs of the node."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("proof", type=Path, help="The file of the proof, as the API hands it out.")
        parser.add_argument("--message", help="What you asked to be signed; without it what the file says.")
        parser.add_argument(
            "--statement",
            type=Path,
            help="The report reserve as CSV: what addresses must have; else the file's outputs.",
        )

    def handle(self, **options: Any) -> None:
        try:
            proof = _read(options["proof"])
            claims, height = _claims(proof), proof["height"]
            if options["statement"]:
                claims, height = _stated(options["statement"], proof)
            message = options["message"] or proof["message"]
            found = proving.prove(proof["tx"].encode(), message=message, claims=claims, height=height)
            if found.amount_sat != proof["amount_sat"]:
                text = f"The file claims {proof['amount_sat']} sat, and {found.amount_sat} sat are proved."
                raise ReservesNotProved(text, rule="amount_differs")
        except GovPayError as error:
            rule = error.details.get("rule", error.code)
            raise CommandError(f"NOT PROVED, {rule}: {error.message}") from error
        self.stdout.write(
            f"PROVED: {proof['scope']} can spend {found.amount_sat} sat in {found.output_count} outputs up to block"
            f" {height}, all unspent at block {found.height}, {found.block_hash}."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        proof = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _malformed(f"{path.name} cannot be read as JSON.") from error
    if not isinstance(proof, dict) or any(type(proof.get(name)) is not kind for name, kind in FIELDS.items()):
        raise _malformed(f"It is no proof with the fields {', '.join(FIELDS)}, each of its type.")
    if proof["format"] != FORMAT or proof["network"] != network.current().value:
        raise _malformed(
            f"It is {proof['format']} on {proof['network']}, not {FORMAT} on {network.current().value}."
        )
    if not proof["tx"]:
        raise _malformed("It was asked for, and not given yet: it has no tx.")
    return proof


def _claims(proof: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in proof["outputs"]:
        if (
            not isinstance(row, dict)
            or type(row.get("address")) is not str
            or type(row.get("amount_sat")) is not int
        ):
            raise _malformed("Each output has an address and an amount_sat.")
        found[row["address"]] = found.get(row["address"], 0) + row["amount_sat"]
    _require_ours(found)
    return found


def _stated(path: Path, proof: dict[str, Any]) -> tuple[dict[str, int], int]:
    """Return what the verified addresses of the proof's institution have by a statement, and the block that it is of."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise _malformed(f"{path.name} cannot be read as CSV.") from error
    found: dict[str, int] = {}
    heights = set()
    for number, row in enumerate(rows, start=2):
        if any(row.get(name) is None for name in OF_STATEMENT):
            raise _malformed(f"Line {number} of the statement lacks one of {', '.join(OF_STATEMENT)}.")
        if row["scope"] != proof["scope"] or row["badge"] != "verified":
            continue
        if not (row["amount_sat"].isdecimal() and row["height"].isdecimal()):
            raise _malformed(f"Line {number} of the statement has an amount or a block that is no number.")
        found[row["address"]] = int(row["amount_sat"])
        heights.add(int(row["height"]))
    if len(heights) != 1:
        raise _malformed(f"The statement is not of {proof['scope']} at one block.")
    _require_ours(found)
    return found, heights.pop()


def _require_ours(claims: dict[str, int]) -> None:
    """Refuse addresses that are in no holding which two people set."""
    known = HoldingAddress.objects.filter(network=network.current().value, address__in=claims)
    strangers = sorted(set(claims) - set(known.values_list("address", flat=True)))
    if strangers:
        text = f"{strangers[0]} is in no holding of this installation."
        raise ReservesNotProved(text, rule="foreign_address", address=strangers[0])


def _malformed(message: str) -> ReservesNotProved:
    return ReservesNotProved(message, rule="malformed")
