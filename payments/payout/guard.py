"""Refuses to work in the wrong world: at start-up, and before anything is sealed, signed or sent."""

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NoReturn

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, Unavailable
from ledger import audit
from payments.models import Block, NodeStatus, Stop, Wallet
from payments.onchain import network, node
from payments.onchain.network import MainnetRefused, WrongChain
from payments.onchain.rpc import NodeError
from payments.payout import alarms, claim, failpoint

log = structlog.get_logger(__name__)

RUNS = """
SELECT w.halted_at, w.halt_code, w.halt_reason, s.id, s.reason
FROM payments_wallet w LEFT JOIN payments_stop s ON s.is_open WHERE w.id = %s
"""
# When this process last found something of a node as it should be.
_found_at: dict[tuple[object, ...], float] = {}


class HaltCode(StrEnum):
    """Why a wallet was halted; each is also the code of its alarm."""

    WALLET_CHANGED = "wallet_changed"  # The node has another wallet under its name.
    DATABASE_RESTORED = "database_restored"  # The node's wallet knows of more signing than the database.
    SECOND_INSTALLATION = "second_installation"  # Another installation pays from the wallet.
    STRANGER_SPENT = "stranger_spent_our_coin"  # A tx that is not ours spends its coins.


class EngineStopped(Conflict):
    """Somebody threw the global stop: nothing is sealed, signed or sent until it is lifted."""

    code = "engine_stopped"
    is_transient = True


class WalletHalted(Conflict):
    """Something is wrong with the wallet: nothing of it is sealed, signed or sent until two people lift the halt."""

    code = "wallet_halted"
    is_transient = True


class PinnedBlockMissing(WrongChain):
    """The node's chain lacks the first block that we read: same network, another chain."""

    code = "pinned_block_missing"


class NodeMayNotSign(Conflict):
    """The node's own wallet signs on regtest only (tier 0)."""

    code = "node_signer_refused"


def require_node_may_sign() -> None:
    """Raise NodeMayNotSign unless the network is regtest, where coins are worth nothing to a thief."""
    if network.current() != network.Network.REGTEST:
        raise NodeMayNotSign(
            f"On {network.current().value} the node's wallet may not hold keys (tier 0 is for regtest): the wallet "
            "needs a watch-only descriptor, and signers elsewhere."
        )


class TipStale(Unavailable):
    """The node's best block is old: it is cut off, and what it says of coins may be long past."""

    code = "tip_stale"


class FollowerBehind(Unavailable):
    """Not every block of the node was read yet."""

    code = "follower_behind"


class FollowerBusy(Unavailable):
    """Another process follows the chain now."""

    code = "follower_busy"


def check_at_start() -> None:
    """Stop the process when the node is on another chain; a node that is down is only noted, it may come back.

    Wallets that are not what they should be are halted and named in the log; the others pay.
    """
    failpoint.check_setting()
    client = node.connect()
    try:
        require_chain(client)
        _check_wallets(client)
    except NodeError as error:
        record(is_ok=False, code=error.code, message=error.message)
    finally:
        client.close()
    for name, code, reason in Wallet.objects.filter(halted_at__isnull=False).values_list(
        "name", "halt_code", "halt_reason"
    ):
        log.error("wallet_does_not_pay", wallet=name, code=code, reason=reason)


def _check_wallets(client: node.Node) -> None:
    for wallet in Wallet.objects.filter(ready_at__isnull=False).order_by("pk"):
        try:
            check_wallet(wallet, client)
        except WalletHalted:
            # It is in the database now, from where all that are halted are named.
            continue
        except node.WalletUnavailable as error:
            log.error("wallet_does_not_pay", wallet=wallet.name, code=error.code, reason=error.message)


@contextmanager
def _lately(client: node.Node, *what: object, max_age_s: float) -> Iterator[bool]:
    """Tell whether this process found ``what`` to be good within ``max_age_s``; what ends without an error was.

    A worker that visits many payouts need not ask the node about the same things anew for each.
    """
    key = (client.url_key, settings.GOVPAY_NETWORK, *what)
    begun_at = time.monotonic()
    if begun_at - _found_at.get(key, -math.inf) < max_age_s:
        yield True
        return
    _found_at.pop(key, None)
    yield False
    _found_at[key] = begun_at


def require_chain(client: node.Node, *, max_age_s: float = 0) -> None:
    """Raise MainnetRefused, WrongChain or PinnedBlockMissing, and note it, unless the node is on our chain."""
    try:
        with _lately(client, "chain", max_age_s=max_age_s) as is_known:
            if not is_known:
                network.check_node(client, network.current())
                _require_pinned_block(client)
    except (MainnetRefused, WrongChain) as error:
        record(is_ok=False, code=error.code, message=error.message)
        raise


def _require_pinned_block(client: node.Node) -> None:
    """Refuse a chain without the first block that we read; a node that has not come so far yet is no other chain.

    The block after genesis stands in for genesis, which every chain of a network has.
    """
    first = Block.objects.filter(is_active=True, height__gt=0).order_by("height").first()
    if first is None:
        return
    found_hash = client.block_hash(first.height)
    if found_hash is None:
        raise node.BlockUnknown(
            f"The node has not reached block {first.height}, the first that was read; it may still download.",
            block_hash=first.block_hash,
        )
    if found_hash != first.block_hash:
        raise PinnedBlockMissing(
            f"The node's block {first.height} is {found_hash}, not {first.block_hash}: it follows another chain.",
            block_height=first.height,
            expected_block_hash=first.block_hash,
            found_block_hash=found_hash,
        )


def is_stopped() -> bool:
    """Say whether the global stop is thrown."""
    return Stop.objects.filter(is_open=True).exists()


def require_runs() -> None:
    """Raise EngineStopped while the global stop is thrown: for what leaves by a bank or a desk, without a wallet."""
    stop = Stop.objects.filter(is_open=True).first()
    if stop is not None:
        raise EngineStopped(f"The engine is stopped: {stop.reason}", stop_id=stop.pk)


def require_wallet_runs(wallet: Wallet) -> None:
    """Raise EngineStopped or WalletHalted while nothing of this wallet may be sealed, signed or sent.

    It reads both from the database anew. In a database transaction that holds the wallet's row, no halt comes between.
    """
    with connection.cursor() as cursor:
        cursor.execute(RUNS, [wallet.pk])
        halted_at, halt_code, halt_reason, stop_id, stop_reason = cursor.fetchone()
    if stop_id is not None:
        raise EngineStopped(f"The engine is stopped: {stop_reason}", stop_id=stop_id)
    if halted_at is not None:
        raise WalletHalted(
            f"The wallet is halted ({halt_code}): {halt_reason}", wallet_id=wallet.pk, halt_code=halt_code
        )


def check_wallet(wallet: Wallet, client: node.Node, *, max_age_s: float = 0) -> None:
    """Have the node load the wallet; halt it and raise WalletHalted when it is not what this database thinks it is.

    It compares the checksum of the descriptors with the one of the day the wallet was made, and the claims that the
    node's wallet keeps with our own. It looks at the world only: a wallet that is halted already, and whose cause is
    gone, passes. Raises NodeError; WalletUnavailable when the node cannot load the wallet.
    """
    with _lately(client, "wallet", wallet.pk, max_age_s=max_age_s) as is_known:
        if not is_known:
            client.load_wallet(wallet.name)
            if wallet.ready_at is not None:
                _check_descriptors(wallet, client)
                check_claims(wallet, client)


def check_claims(wallet: Wallet, client: node.Node) -> list[claim.Claim]:
    """Return the claims that the node's wallet keeps; halt it and raise WalletHalted when they are not this database's."""
    # The node first: what another worker claims meanwhile is then in the database already.
    claims = claim.read(wallet, client)
    if claims != [claim.last(wallet)]:
        check_installation(wallet, claims)
        _check_count(wallet, claims)
    return claims


def checksum(wallet: Wallet, client: node.Node) -> str:
    """Return one checksum (SHA-256, hex) over all descriptors of the node's wallet, which are public."""
    descriptors = "\n".join(sorted(client.for_wallet(wallet.name).descriptors()))
    return hashlib.sha256(descriptors.encode()).hexdigest()


def _check_descriptors(wallet: Wallet, client: node.Node) -> None:
    found = checksum(wallet, client)
    expected = Wallet.objects.values_list("descriptor_checksum", flat=True).get(pk=wallet.pk)
    if not expected:
        # A wallet of an older version of govpay is taken as it is now.
        Wallet.objects.filter(pk=wallet.pk, descriptor_checksum="").update(descriptor_checksum=found)
    elif found != expected:
        reason = f"The node's wallet {wallet.name} has other descriptors than when it was made: {found}."
        _halt_and_raise(wallet, HaltCode.WALLET_CHANGED, reason)


def check_installation(wallet: Wallet, claims: list[claim.Claim]) -> None:
    """Halt the wallet and raise WalletHalted when another installation has claimed it."""
    ours = claim.installation_id()
    other = next((found for found in claims if found.installation != ours), None)
    if other is not None:
        reason = (
            f"Installation {other.installation} pays from the node's wallet {wallet.name} too: "
            f"{other.number} payouts, the last one {other.txid or 'not yet signed'}. This is {ours}."
        )
        _halt_and_raise(wallet, HaltCode.SECOND_INSTALLATION, reason)


def _check_count(wallet: Wallet, claims: list[claim.Claim]) -> None:
    """Halt the wallet when its node knows of a claim that this database does not."""
    if not claims:
        return
    last = max(claims, key=lambda found: found.number)
    count = Wallet.objects.values_list("signed_count", flat=True).get(pk=wallet.pk)
    known = claim.txid_of(wallet, last.number)
    if last.number > count or (last.txid and known not in (None, last.txid)):
        reason = (
            f"The node's wallet knows of {last.number} signed payouts, this database of {count}; the last one, "
            f"{last.txid}, is {'another' if last.number <= count else 'not in it'}. Import the chain anew."
        )
        _halt_and_raise(wallet, HaltCode.DATABASE_RESTORED, reason)


def _halt_and_raise(wallet: Wallet, code: HaltCode, reason: str) -> NoReturn:
    halt(wallet, code, reason)
    raise WalletHalted(f"The wallet is halted ({code}): {reason}", wallet_id=wallet.pk, halt_code=code.value)


def require_fresh_tip(client: node.Node, *, max_age_s: float = 0) -> None:
    """Raise TipStale when the node's best block is too old to trust; on regtest only if a setting says what is."""
    with _lately(client, "tip", max_age_s=max_age_s) as is_known:
        if not is_known:
            _require_fresh_tip(client)


def _require_fresh_tip(client: node.Node) -> None:
    info = client.chain_info()
    age_s = int(time.time()) - info.tip_time
    if settings.GOVPAY_TIP_AGE_MATTERS and (age_s > settings.GOVPAY_TIP_MAX_AGE_S or info.initial_download):
        message = (
            f"The node's best block {info.height} is {age_s} s old, more than {settings.GOVPAY_TIP_MAX_AGE_S} s "
            "or still downloading: nothing is sealed, signed or sent."
        )
        alarms.sound(TipStale.code, subject="node", message=message)
        raise TipStale(message, age_s=age_s, block_height=info.height)
    alarms.clear(TipStale.code, subject="node", note="The node's best block is fresh again.")


def require_follower_at_tip(client: node.Node) -> None:
    """Raise FollowerBehind unless every block of the node was read: coins may be spent that look free."""
    tip = Block.objects.filter(is_active=True).order_by("-height").first()
    best_hash = client.chain_info().best_block_hash
    if tip is None or tip.block_hash != best_hash:
        raise FollowerBehind(
            f"Block {best_hash} of the node was not read yet; nothing is sealed until it is.",
            block_hash=best_hash,
        )


@transaction.atomic
def halt(wallet: Wallet, code: HaltCode, reason: str) -> None:
    """Stop all sealing, signing and sending of a wallet, and sound an alarm; the first reason stays.

    A restored database explains everything else that looks wrong, so that it replaces any other reason.
    """
    row = Wallet.objects.lock().get(pk=wallet.pk)
    if row.halted_at is None or (
        code == HaltCode.DATABASE_RESTORED and row.halt_code != HaltCode.DATABASE_RESTORED
    ):
        log.error("wallet_halted", wallet=row.name, code=code.value, reason=reason)
        was = audit.digest(row)
        Wallet.objects.filter(pk=row.pk).update(
            halted_at=row.halted_at or timezone.now(), halt_code=code.value, halt_reason=reason[:300]
        )
        audit.record("wallet.halt", row, scope=row.program.scope, reason=reason, before=was)
    alarms.sound(code.value, subject="wallet", subject_id=row.pk, program_id=row.program_id, message=reason)


def record(
    *,
    is_ok: bool,
    code: str = "",
    message: str = "",
    subversion: str = "",
    block_hash: str = "",
    block_height: int | None = None,
) -> None:
    """Keep the last look at the node, in its one row."""
    seen = {"is_ok": is_ok, "code": code, "message": message[:300], "checked_at": timezone.now()}
    if is_ok:
        seen |= {"subversion": subversion[:100], "block_hash": block_hash, "block_height": block_height}
        seen |= {"ok_at": seen["checked_at"]}
    NodeStatus.objects.update_or_create(network=settings.GOVPAY_NETWORK, defaults=seen)
