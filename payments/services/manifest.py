"""The manifest: the exact text of a list, whose hash an approver agrees to and a releaser checks again."""

import hashlib

from payments.models import Disbursement, Payment

CHUNK = 5_000


def compute(disbursement: Disbursement) -> bytes:
    """Return the SHA-256 of the list as it stands in the database, read in chunks.

    One header line a fact, then ``line|beneficiary|script_pubkey hex|amount in satoshis`` for each payment in line
    order, each ended by a newline, UTF-8. Held lines are in it: holding narrows what is paid, never widens it.
    """
    program = disbursement.program
    digest = hashlib.sha256(
        "govpay-manifest-1\n"
        f"program|{program.code}\nnetwork|{program.network}\n"
        f"period|{disbursement.cycle.period}\npurpose|{disbursement.cycle.purpose}\n"
        f"payments|{disbursement.payment_count}\ntotal|{disbursement.total_sat}\n"
        f"fee ceiling|{disbursement.fee_reserved_sat}\n".encode()
    )
    lines = (
        Payment.objects.filter(disbursement=disbursement)
        .order_by("line")
        .values_list("line", "beneficiary_id", "script_pubkey", "amount_sat")
        .iterator(chunk_size=CHUNK)
    )
    for line, beneficiary_id, script_pubkey, amount_sat in lines:
        script = bytes(script_pubkey).hex() if script_pubkey is not None else ""
        digest.update(f"{line}|{beneficiary_id}|{script}|{amount_sat}\n".encode())
    return digest.digest()
