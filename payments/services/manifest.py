"""The manifest of a list as its text: what its hash is taken of, what approvers sign, and what signers read.

There is one text, so the hash that officers agree to in the product and the file that signers elsewhere check cannot
say different things; ``payments.signer.manifest`` has its form.
"""

import hashlib
from collections.abc import Iterator

from payments.models import Disbursement, Payment
from payments.signer import manifest as form

CHUNK = 5_000


def compute(disbursement: Disbursement) -> bytes:
    """Return the SHA-256 of the list as it stands in the database, read in chunks."""
    digest = hashlib.sha256()
    for part in text(disbursement):
        digest.update(part)
    return digest.digest()


def text(disbursement: Disbursement) -> Iterator[bytes]:
    """Yield the manifest of the list as it stands in the database, in chunks.

    Held lines are in it: holding narrows what is paid, never widens it.
    """
    program, cycle = disbursement.program, disbursement.cycle
    yield form.header_text(
        form.Header(
            network=program.network,
            program=program.code,
            disbursement_id=disbursement.pk,
            period=cycle.period,
            purpose=cycle.purpose,
            payment_count=disbursement.payment_count,
            total_sat=disbursement.total_sat,
            fee_ceiling_sat=disbursement.fee_reserved_sat or 0,
        )
    ).encode()
    lines = (
        Payment.objects.filter(disbursement=disbursement)
        .order_by("pk")
        .values_list("pk", "beneficiary_id", "script_pubkey", "amount_sat", "reissue_of_id")
        .iterator(chunk_size=CHUNK)
    )
    chunk: list[str] = []
    for payment_id, beneficiary_id, script_pubkey, amount_sat, reissue_of in lines:
        script = bytes(script_pubkey) if script_pubkey is not None else b""
        chunk.append(form.line_text(form.Line(payment_id, beneficiary_id, script, amount_sat, reissue_of)))
        if len(chunk) == CHUNK:
            yield "".join(chunk).encode()
            chunk = []
    yield "".join(chunk).encode()
