"""Notes with the node's wallet what this installation hands to a signer, so that a restored or second database is noticed.

The wallet holds one label ``govpay:1:INSTALLATION:COUNT:TXID`` on its first funding address. The count is taken in the
database first and written to the node after, so that the node is never ahead of a database that has lost nothing. A
label counts every payout that waits for a signer just then, because the node writes each to its disk.
"""

import re
from typing import NamedTuple

from django.db import connection, transaction

from payments.models import Installation, Payout, PayoutTx, ScriptPurpose, Wallet
from payments.onchain import node

PREFIX = "govpay:1:"
LAST = """
SELECT i.id::text, w.signed_count, (
    SELECT t.txid FROM payments_payout p JOIN payments_payouttx t ON t.payout_id = p.id
    WHERE p.wallet_id = w.id AND p.claim_number = w.signed_count ORDER BY t.id LIMIT 1)
FROM payments_wallet w LEFT JOIN payments_installation i ON true WHERE w.id = %s
"""
# So many payouts one label counts at most: none of them may be signed yet on the day that a database goes back to (ADR 35).
AT_ONCE = 8
COUNT = """
WITH chosen AS (
    SELECT id, %(count)s + row_number() OVER (ORDER BY id <> %(payout)s, id) AS number FROM payments_payout
    WHERE wallet_id = %(wallet)s AND claim_number IS NULL AND (id = %(payout)s OR status = 'sealed')
    ORDER BY number LIMIT %(most)s
), counted AS (
    UPDATE payments_payout p SET claim_number = c.number FROM chosen c WHERE p.id = c.id RETURNING p.claim_number
)
UPDATE payments_wallet SET signed_count = (SELECT max(claim_number) FROM counted) WHERE id = %(wallet)s
"""
_LABEL = re.compile(r"govpay:1:([0-9a-f-]{36}):([0-9]{1,18}):([0-9a-f]{64})?")


class Claim(NamedTuple):
    """What a label says: which installation claimed last, how many it had claimed, and the txid of the last one."""

    installation: str
    number: int
    txid: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.installation}:{self.number}:{self.txid}"


def installation_id() -> str:
    """Return who we are; the row is made by whoever asks first, and goes wherever the database goes."""
    return str(Installation.objects.get_or_create(is_only=True)[0].pk)


def read(wallet: Wallet, client: node.Node) -> list[Claim]:
    """Return what the node's wallet says of claims; labels that people gave it are none of ours."""
    found = (_LABEL.fullmatch(label) for label in client.for_wallet(wallet.name).labels())
    return [Claim(match[1], int(match[2]), match[3] or "") for match in found if match]


def announce(wallet: Wallet, client: node.Node) -> None:
    """Write down that this installation owns the wallet, before anything of it is signed."""
    _write(wallet, client, Claim(installation_id(), 0, ""))


def count(payout: Payout) -> int:
    """Give the payout the wallet's next number, unless it has one, and the next ones to others that are sealed."""
    if payout.claim_number is not None:
        return payout.claim_number
    with transaction.atomic():
        wallet = Wallet.objects.lock().get(pk=payout.wallet_id)
        # Another worker may have counted it while this one waited for the wallet.
        number = Payout.objects.values_list("claim_number", flat=True).get(pk=payout.pk)
        if number is None:
            number = wallet.signed_count + 1
            values = {"payout": payout.pk, "wallet": wallet.pk, "count": wallet.signed_count, "most": AT_ONCE}
            with connection.cursor() as cursor:
                cursor.execute(COUNT, values)
    return number


def is_noted(number: int, claims: list[Claim]) -> bool:
    """Say whether what the node's wallet keeps, which is ours, counts the payout with this number."""
    return any(found.number >= number for found in claims)


def note(wallet: Wallet, client: node.Node) -> None:
    """Write the count of the database down with the node; again is harmless.

    Several workers may write at once: whoever writes looks whether the database has counted on, and if so writes that,
    so that the last label that is written names the last claim.
    """
    while True:
        ours = last(wallet)
        _write(wallet, client, ours)
        if last(wallet) == ours:
            return


def last(wallet: Wallet) -> Claim:
    """Return what our label should say now."""
    with connection.cursor() as cursor:
        cursor.execute(LAST, [wallet.pk])
        installation, number, txid = cursor.fetchone()
    return Claim(installation or installation_id(), number, txid or "")


def txid_of(wallet: Wallet, number: int) -> str | None:
    """Return the txid that the payout with this number had when it was claimed, if there is such a payout."""
    versions = PayoutTx.objects.filter(payout__wallet=wallet, payout__claim_number=number).order_by("pk")
    return versions.values_list("txid", flat=True).first()


def _write(wallet: Wallet, client: node.Node, claim: Claim) -> None:
    script = wallet.scripts.filter(purpose=ScriptPurpose.FUNDING).order_by("pk").first()
    assert script is not None, "a wallet is ready once it has a funding script"
    client.for_wallet(wallet.name).set_label(bytes(script.script_pubkey), str(claim))
