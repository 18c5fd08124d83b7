"""The manifest of a list as its text: what its hash is taken of, what approvers sign, and what signers read.

There is one text, so the hash that officers agree to in the product and the file that signers elsewhere check cannot
say different things; ``payments.signer.manifest`` has its form.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db.models import F, QuerySet

from payments.models import Disbursement, Payment, Rail
from payments.signer import manifest as form

CHUNK = 5_000
COLUMNS = ("pk", "beneficiary_id", "script_pubkey", "amount", "reissue_of_id")


def compute(disbursement: Disbursement) -> bytes:
    """Return the SHA-256 of the list as it stands in the database, read in chunks."""
    digest = hashlib.sha256()
    for part in text(disbursement):
        digest.update(part)
    return digest.digest()


def text(disbursement: Disbursement) -> Iterator[bytes]:
    """Yield the manifest of the list as it stands in the database, in chunks."""
    return text_of(disbursement, lines(disbursement).iterator(chunk_size=CHUNK))


def text_of(disbursement: Disbursement, rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """Yield the manifest of a list whose payments somebody reads: COLUMNS of each, by number.

    Held lines are in it: holding narrows what is paid, never widens it.
    """
    yield header(disbursement)
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        yield text_of_lines(chunk)


def lines(disbursement: Disbursement, **where: Any) -> QuerySet[Any, Any]:
    """Return the payments of the list, or some of them, in order: COLUMNS of each."""
    # By bank, the account's keyed hash is agreed to in the place of a script.
    columns: tuple[str, ...] = COLUMNS
    if disbursement.rail == Rail.BANK:
        columns = tuple("bank_account__iban_hash" if name == "script_pubkey" else name for name in COLUMNS)
    # By an expression, so that they are found by their list and sorted: in the order of an index, a cursor would begin
    # with the oldest payment of all lists.
    return (
        Payment.objects.filter(disbursement=disbursement, **where).order_by(F("pk") + 0).values_list(*columns)
    )


def text_of_lines(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Return the part of the manifest that says these payments."""
    return "".join(map(_line, rows)).encode()


def header(disbursement: Disbursement) -> bytes:
    """Return the beginning of the manifest, which says what the list is and its totals."""
    program, cycle = disbursement.program, disbursement.cycle
    # A list on another rail says so where signers of txs expect its first payment: they take none of it for their own.
    rail = "" if disbursement.rail == Rail.BITCOIN else f"rail|{disbursement.rail}\n"
    text = form.header_text(
        form.Header(
            network=program.network,
            program=program.code,
            disbursement_id=disbursement.pk,
            period=cycle.period,
            purpose=cycle.purpose,
            payment_count=disbursement.payment_count,
            total=disbursement.total,
            fee_ceiling_sat=disbursement.fee_reserved_sat or 0,
            currency=program.currency,
        )
    )
    return (text + rail).encode()


def _line(row: tuple[Any, ...]) -> str:
    payment_id, beneficiary_id, script_pubkey, amount, reissue_of = row
    script = bytes(script_pubkey) if script_pubkey is not None else b""
    return form.line_text(form.Line(payment_id, beneficiary_id, script, amount, reissue_of))
