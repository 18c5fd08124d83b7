"""Makes a program's wallet in the node, and gives out the scripts of it."""

from collections.abc import Sequence
from typing import Literal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from govpay.errors import Conflict
from ledger import audit
from payments.models import ScriptPurpose, Signer, Wallet, WalletScript
from payments.onchain import descriptor as descriptors
from payments.onchain import node, watch
from payments.payout import alarms, claim, guard

BRANCH = {ScriptPurpose.FUNDING: descriptors.RECEIVE, ScriptPurpose.CHANGE: descriptors.CHANGE}
# How far beyond the scripts that we know the node's wallet makes keys: it may have given out some that we never stored.
SPARE_KEYS = 1_000


class KeysMissing(Conflict):
    """The node's wallet lacks keys to our coins: it was restored from a backup that is not of this wallet's life."""

    code = "wallet_range"
    is_transient = True


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
    script = (
        _new_scripts(wallet, client, ScriptPurpose.FUNDING, 1)[0] if wallet.signer == Signer.NODE else None
    )
    height = client.chain_info().height
    checksum = guard.checksum(wallet, client)
    with transaction.atomic():
        # Of two workers that were rung for it, one makes the funding script.
        was = audit.digest(wallet)
        new = Wallet.objects.filter(pk=wallet.pk, ready_at=None)
        if not new.update(ready_at=timezone.now(), birth_height=height, descriptor_checksum=checksum):
            return
        if script is None:
            derive(wallet, ScriptPurpose.FUNDING, 1)
        else:
            WalletScript.objects.create(wallet=wallet, script_pubkey=script, purpose=ScriptPurpose.FUNDING)
        audit.record("wallet.open", wallet, scope=wallet.program.scope, before=was)
        alarms.clear("wallet_unusable", subject="wallet", subject_id=wallet.pk, note="It is ready.")
    claim.announce(wallet, client)


def add_change(wallet: Wallet, client: node.Node, count: int) -> None:
    """Put fresh change scripts in store. Call it outside a database transaction: it may ask the node."""
    if wallet.signer == Signer.NODE:
        scripts = _new_scripts(wallet, client, ScriptPurpose.CHANGE, count)
        WalletScript.objects.bulk_create(
            WalletScript(wallet=wallet, script_pubkey=script, purpose=ScriptPurpose.CHANGE)
            for script in scripts
        )
        return
    _derive_change(wallet, client, count)


def learn_change(wallet: Wallet, scripts: Sequence[bytes], client: node.Node) -> list[bytes]:
    """Keep those of these scripts that are the wallet's change, given out on a day that the database lost; return them.

    Of a watch-only wallet all up to the last of them are given out again: what was not seen yet was perhaps handed to
    signers. Call it outside a database transaction. Raises NodeError.
    """
    if wallet.signer == Signer.NODE:
        is_own = client.for_wallet(wallet.name).owns(scripts)
        own = [script for script, is_ours in zip(scripts, is_own, strict=True) if is_ours]
        WalletScript.objects.bulk_create(
            WalletScript(wallet=wallet, script_pubkey=script, purpose=ScriptPurpose.CHANGE, is_claimed=True)
            for script in own
        )
        return own
    wallet.refresh_from_db(fields=["next_receive_index", "next_change_index"])
    descriptor, first = descriptors.parse(wallet.descriptor), wallet.next_change_index
    # What was given out in the lost days is watched by the node, unless that lost them too.
    ahead = range(first, max(_last_watched(wallet), watch.reach(client, wallet.name)) + 1)
    places = {descriptor.script_pubkey(descriptors.CHANGE, index): index for index in ahead}
    own = [script for script in scripts if script in places]
    if own:
        _derive_change(wallet, client, max(places[script] for script in own) + 1 - first)
        WalletScript.objects.filter(wallet=wallet, script_pubkey__in=own).update(is_claimed=True)
    return own


def _derive_change(wallet: Wallet, client: node.Node, count: int) -> None:
    """Give out the next change of a descriptor, and have the node watch further in time."""
    before = _last_watched(wallet)
    derive(wallet, ScriptPurpose.CHANGE, count)
    wallet.refresh_from_db(fields=["next_receive_index", "next_change_index"])
    if _last_watched(wallet) > before:
        descriptor = descriptors.parse(wallet.descriptor)
        watch.extend(client, wallet.name, descriptor, last_index=_last_watched(wallet))


def require_keys(wallet: Wallet, scripts: Sequence[bytes], client: node.Node) -> None:
    """Raise KeysMissing, and sound its alarm, unless the node's own wallet has the keys of these scripts.

    One that was restored from an older backup makes the keys that it gave out since then again, as far as we know of
    them. Call it outside a database transaction. Raises NodeError.
    """
    of_wallet = client.for_wallet(wallet.name)
    if not all(of_wallet.owns(scripts)):
        of_wallet.make_keys(wallet.scripts.count() + SPARE_KEYS)
        missing = of_wallet.owns(scripts).count(False)
        if missing:
            message = (
                f"The node's wallet {wallet.name} has no keys to {missing} of {len(scripts)} coins: it was restored "
                "from an older backup, or never had them. Restore the newest backup of it."
            )
            alarms.sound(
                KeysMissing.code,
                subject="wallet",
                subject_id=wallet.pk,
                program_id=wallet.program_id,
                message=message,
            )
            raise KeysMissing(message, wallet_id=wallet.pk)
    alarms.clear(
        KeysMissing.code, subject="wallet", subject_id=wallet.pk, note="The wallet has the keys again."
    )


def _new_scripts(wallet: Wallet, client: node.Node, purpose: ScriptPurpose, count: int) -> list[bytes]:
    """Return scripts that nobody has had: a wallet restored from an older backup gives out old ones once more.

    It cannot repeat more of them than we know; the next visit goes on after those that were skipped.
    """
    of_wallet = client.for_wallet(wallet.name)
    kind: Literal["receive", "change"] = "receive" if purpose == ScriptPurpose.FUNDING else "change"
    left = WalletScript.objects.count() + count
    new: list[bytes] = []
    while len(new) < count:
        asked = of_wallet.new_scripts(kind, count - len(new))
        left -= len(asked)
        if left < 0:
            raise node.NodeReplyInvalid("The node's wallet gives out the same addresses again and again.")
        known = WalletScript.objects.filter(script_pubkey__in=asked).values_list("script_pubkey", flat=True)
        old = {bytes(script) for script in known}
        new += [script for script in asked if script not in old]
    return new


@transaction.atomic
def derive(wallet: Wallet, purpose: ScriptPurpose, count: int) -> None:
    """Give out the next scripts of a watch-only wallet's descriptor, without the node."""
    counter = "next_receive_index" if purpose == ScriptPurpose.FUNDING else "next_change_index"
    locked = Wallet.objects.lock().get(pk=wallet.pk)
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
