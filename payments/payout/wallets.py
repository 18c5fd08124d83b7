"""Makes a program's wallet in the node, and gives out the scripts of it."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from payments.models import ScriptPurpose, Signer, Wallet, WalletScript
from payments.onchain import descriptor as descriptors
from payments.onchain import node, watch
from payments.payout import alarms, claim, guard

BRANCH = {ScriptPurpose.FUNDING: descriptors.RECEIVE, ScriptPurpose.CHANGE: descriptors.CHANGE}


def ensure(wallet: Wallet, client: node.Node) -> None:
    """Make the wallet in the node, or load it. Raises NodeError, and watch's refusals for a watch-only wallet."""
    if wallet.signer == Signer.NODE:
        client.ensure_wallet(wallet.name)
        return
    descriptor = descriptors.parse(wallet.descriptor)
    watch.ensure(client, wallet.name, descriptor, last_index=_last_watched(wallet))


def open_for_funding(wallet: Wallet, client: node.Node) -> None:
    """Give the wallet its funding script, mark it ready and announce whose it is; do nothing when it is.

    Raises guard.WalletHalted when another installation pays from it: then not even an address of it is shown.
    """
    if wallet.ready_at is not None:
        return
    guard.check_installation(wallet, claim.read(wallet, client))
    script = client.for_wallet(wallet.name).new_script("receive") if wallet.signer == Signer.NODE else None
    height = client.chain_info().height
    checksum = guard.checksum(wallet, client)
    with transaction.atomic():
        # Of two workers that were rung for it, one makes the funding script.
        new = Wallet.objects.filter(pk=wallet.pk, ready_at=None)
        if not new.update(ready_at=timezone.now(), birth_height=height, descriptor_checksum=checksum):
            return
        if script is None:
            derive(wallet, ScriptPurpose.FUNDING, 1)
        else:
            WalletScript.objects.create(wallet=wallet, script_pubkey=script, purpose=ScriptPurpose.FUNDING)
        alarms.clear("wallet_unusable", subject="wallet", subject_id=wallet.pk, note="It is ready.")
    claim.announce(wallet, client)


def add_change(wallet: Wallet, client: node.Node, count: int) -> None:
    """Put fresh change scripts in store. Call it outside a database transaction: it may ask the node."""
    if wallet.signer == Signer.NODE:
        of_wallet = client.for_wallet(wallet.name)
        scripts = [of_wallet.new_script("change") for _ in range(count)]
        WalletScript.objects.bulk_create(
            WalletScript(wallet=wallet, script_pubkey=script, purpose=ScriptPurpose.CHANGE)
            for script in scripts
        )
        return
    before = _last_watched(wallet)
    derive(wallet, ScriptPurpose.CHANGE, count)
    wallet.refresh_from_db(fields=["next_receive_index", "next_change_index"])
    if _last_watched(wallet) > before:
        descriptor = descriptors.parse(wallet.descriptor)
        watch.extend(client, wallet.name, descriptor, last_index=_last_watched(wallet))


@transaction.atomic
def derive(wallet: Wallet, purpose: ScriptPurpose, count: int) -> None:
    """Give out the next scripts of a watch-only wallet's descriptor, without the node."""
    counter = "next_receive_index" if purpose == ScriptPurpose.FUNDING else "next_change_index"
    locked = Wallet.objects.select_for_update().get(pk=wallet.pk)
    descriptor = descriptors.parse(locked.descriptor)
    first = getattr(locked, counter)
    WalletScript.objects.bulk_create(
        WalletScript(
            wallet=wallet,
            script_pubkey=descriptor.script_pubkey(BRANCH[purpose], index),
            purpose=purpose,
            descriptor_index=index,
        )
        for index in range(first, first + count)
    )
    Wallet.objects.filter(pk=wallet.pk).update(**{counter: F(counter) + count})


def _last_watched(wallet: Wallet) -> int:
    return watch.last_watched(max(wallet.next_receive_index, wallet.next_change_index))
