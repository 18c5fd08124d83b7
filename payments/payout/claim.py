"""Notes with the node's wallet what this installation hands to a signer, so that a restored or second database is noticed.

The wallet holds one label ``govpay:1:INSTALLATION:COUNT:TXID`` on its first funding address. The count is taken in the
database first and written to the node after, so that the node is never ahead of a database that has lost nothing.
"""

import re
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F

from payments.models import Installation, Payout, PayoutTx, ScriptPurpose, Wallet
from payments.onchain import node

PREFIX = "govpay:1:"
LAST = """
SELECT i.id::text, w.signed_count, (
    SELECT t.txid FROM payments_payout p JOIN payments_payouttx t ON t.payout_id = p.id
    WHERE p.wallet_id = w.id AND p.claim_number = w.signed_count ORDER BY t.id LIMIT 1)
FROM payments_wallet w LEFT JOIN payments_installation i ON true WHERE w.id = %s
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


def take(payout_id: int, client: node.Node) -> None:
    """Count a payout as handed to a signer, in the database and then with the node; again for the same one is harmless.

    Several workers may write at once: whoever writes looks whether the database has counted on, and if so writes that,
    so that the last label that is written names the last claim.
    """
    wallet = _count(payout_id)
    while True:
        ours = last(wallet)
        _write(wallet, client, ours)
        if last(wallet) == ours:
            return


@transaction.atomic
def _count(payout_id: int) -> Wallet:
    """Give the payout the wallet's next number, unless it has one."""
    wallet = Wallet.objects.lock().get(payouts=payout_id)
    number = wallet.signed_count + 1
    if Payout.objects.filter(pk=payout_id, claim_number=None).update(claim_number=number):
        Wallet.objects.filter(pk=wallet.pk).update(signed_count=F("signed_count") + 1)
    return wallet


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
