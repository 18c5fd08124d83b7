"""Judges a whole installation, database and node, with own SQL and own bytes: ``judge`` raises the first violation."""

from collections.abc import Callable, Collection
from typing import Any

from tests.invariants import checks
from tests.invariants.chain import Chain
from tests.invariants.checks import Owed, SignedTx, Violation
from tests.invariants.facts import Facts, Version, read

FIRST = {
    "payout": "sealed",
    "disbursement": "draft",
    "payment": "pending",
    "intervention": "proposed",
    "warrant": "proposed",
}
# A rest that is not worth a change output goes to the miners, over any ceiling.
REST_MAX_SAT = 1_000
BLOCKED = ("frozen",)


class World:
    """What the node has: blocks from the first to the tip, and its memory pool."""

    def __init__(self, blocks: list[list[SignedTx]], pool: list[SignedTx]) -> None:
        self.blocks = blocks
        self.live = [tx for block in blocks for tx in block] + pool
        self.outputs = {(tx.txid, vout): out for tx in self.live for vout, out in enumerate(tx.outputs)}
        self.by_txid = {tx.txid: tx for tx in self.live}


def judge(
    database_url: str,
    node_url: str,
    *,
    exactly: bool,
    is_healed: bool = False,
    strangers: Collection[str] = (),
) -> None:
    """Check I1a, I1b, I2, I3, I4, I7, I8, I9, I10, I13 and R-26.

    With ``exactly``, also that everybody released is paid; with ``is_healed``, that whoever is not is under an open
    alarm, and that nothing waits without one (I5). ``strangers`` are txids that a test stole our coins with.
    """
    chain = Chain(node_url)
    facts = read(database_url)
    world = World([txs for _, txs in chain.blocks()], chain.pool())
    for check in CHECKS:
        check(facts, world)
    check_spends(facts, world, set(strangers))
    check_wallets(facts, world, set(strangers))
    if is_healed:
        check_nothing_stuck(facts)
    checks.check_paid(facts.owed, world.live, exactly=False)
    if exactly or is_healed:
        excused = {row.id for row in facts.payments if is_healed and facts.is_alarmed(row)}
        owed = [payment for payment in facts.owed if payment.payment_id not in excused]
        scripts = {payment.script_pubkey for payment in facts.owed if payment.payment_id in excused}
        checks.check_paid(
            [payment for payment in owed if payment.script_pubkey not in scripts], world.live, exactly=True
        )


def check_pairwise(facts: Facts, world: World) -> None:
    """I1a: over a payment and all its reissues, the signed txs pairwise share an input, or one is dead for good."""
    root_of = {row.id: row.reissue_of_id for row in facts.payments}
    groups: dict[frozenset[int], str] = {}
    payouts_of: dict[int, set[int]] = {}
    for row in facts.payments:
        root = row.id
        while root_of[root] is not None:
            root = root_of[root]
        if row.payout_id is not None:
            payouts_of.setdefault(root, set()).add(row.payout_id)
    for root, ids in payouts_of.items():
        groups.setdefault(frozenset(ids), f"payment {root}")
    signed = {
        name: [v.tx for pk in ids for v in facts.versions.get(pk, []) if v.tx and v.kind != "void"]
        for ids, name in groups.items()
    }
    every = [version.tx for version in facts.signed if version.tx]
    checks.check_pairwise_inputs(signed, lambda: checks.find_dead(every, world.blocks))
    # A void pays nobody; that it excludes its payout's other versions follows from the anchor.
    for payout in facts.payouts.values():
        for version in facts.versions.get(payout.id, []):
            if version.tx and (payout.anchor_txid, payout.anchor_vout) not in version.tx.inputs:
                raise Violation(f"I1a: {version.txid} does not spend the anchor of payout {payout.id}")


def check_outputs(facts: Facts, world: World) -> None:
    """I7: versions that pay, pay exactly their payout's payments, approved; all others pay ourselves only."""
    by_payout: dict[int, dict[int, Owed]] = {}
    for row in facts.payments:
        if row.payout_id is not None:
            if row.list_status not in ("released", "completed"):
                raise Violation(f"I7: payment {row.id} is in a payout, its list is {row.list_status}")
            by_payout.setdefault(row.payout_id, {})[row.vout] = Owed(
                row.id, row.script_pubkey, row.amount_sat
            )
    own = set(facts.own_scripts)
    for version in facts.signed:
        payout = facts.payouts[version.payout_id]
        payments = by_payout.get(payout.id, {})
        if len(payments) != payout.payment_count:
            raise Violation(
                f"I7: payout {payout.id} has {len(payments)} payments, not {payout.payment_count}"
            )
        assert version.tx is not None
        if version.kind == "void":
            checks.check_version(version.tx, {}, own)
            continue
        commitments = set() if payout.note is None else {checks.commitment(payout.note)}
        checks.check_version(version.tx, payments, own, commitments)
    ended = ("unsealed", "voided")
    noted = [payout.note for payout in facts.payouts.values() if payout.note and payout.status not in ended]
    if len(set(noted)) < len(noted):
        raise Violation("I7: a checkpoint is anchored by two payouts")


def check_fee_caps(facts: Facts, world: World) -> None:
    """I7: a version that pays costs no more than its program's ceiling, a list's fees no more than was approved."""
    spent: dict[int, int] = {}
    for payout in facts.payouts.values():
        paying = [v for v in facts.versions.get(payout.id, []) if v.tx and v.kind != "void"]
        if payout.disbursement_id is None or not paying:
            continue
        for version in paying:
            assert version.tx is not None
            cap_sat = -(-payout.ceiling_sat_kvb * version.tx.vsize_vb // 1000) + REST_MAX_SAT
            if version.fee_sat > cap_sat:
                raise Violation(f"I7: {version.txid} costs {version.fee_sat} sat, its ceiling is {cap_sat}")
        dearest = max(version.fee_sat for version in paying)
        spent[payout.disbursement_id] = spent.get(payout.disbursement_id, 0) + dearest
    for pk, sat in spent.items():
        if sat > facts.reserves.get(pk, 0):
            raise Violation(f"I7: fees of list {pk} are {sat} sat, {facts.reserves.get(pk)} were approved")


def check_coins(facts: Facts, world: World) -> None:
    """I9: no outpoint is in two live reservations, and a tx spends only what its payout reserved."""
    checks.check_reservations((row.txid, row.vout) for row in facts.reservations if row.is_live)
    reserved: dict[int, set[checks.OutPoint]] = {}
    for row in facts.reservations:
        reserved.setdefault(row.payout_id, set()).add((row.txid, row.vout))
    for version in facts.signed:
        assert version.tx is not None
        if not version.tx.inputs <= reserved.get(version.payout_id, set()):
            raise Violation(f"I9: {version.txid} spends what payout {version.payout_id} did not reserve")


def check_spends(facts: Facts, world: World, strangers: set[str]) -> None:
    """I3: every live tx that spends one of our outpoints is in the database, byte for byte."""
    stored = {version.txid: version.tx.raw for version in facts.signed if version.tx}
    spenders = checks.find_spenders(set(facts.own_scripts), world.live)
    checks.check_known([tx for tx in spenders if tx.txid not in strangers], stored)


def check_fees(facts: Facts, world: World) -> None:
    """I10: what is on chain cost what is stored and booked, and the books hold the sum."""
    for version in facts.signed:
        tx = world.by_txid.get(version.txid)
        if tx is None:
            continue
        paid_sat = sum(world.outputs[outpoint][1] for outpoint in tx.inputs) - sum(
            sat for _, sat in tx.outputs
        )
        if version.fee_sat != paid_sat:
            raise Violation(f"I10: {version.txid} cost {paid_sat} sat, {version.fee_sat} are stored")
        payout = facts.payouts[version.payout_id]
        if payout.mined_txid == version.txid and payout.booked_fee_sat != paid_sat:
            raise Violation(f"I10: {version.txid} cost {paid_sat} sat, {payout.booked_fee_sat} are booked")
    booked: dict[int, int] = {}
    for payout in facts.payouts.values():
        booked[payout.program_id] = booked.get(payout.program_id, 0) + payout.booked_fee_sat
    for program_id, sat in booked.items():
        in_books = facts.books.get(("NetworkFees", program_id), 0)
        if in_books != sat:
            raise Violation(f"I10: the books of program {program_id} hold {in_books} sat of fees, not {sat}")


def check_wallets(facts: Facts, world: World, strangers: Collection[str] = ()) -> None:
    """I2: a wallet's books equal its unspent outpoints, wherever the network has the versions that the books hold.

    What a stranger took is not booked, so that reconciliation shows it as a break: to the books it is there.
    """
    spent = {outpoint for tx in world.live if tx.txid not in strangers for outpoint in tx.inputs}
    programs = {payout.program_id for payout in facts.payouts.values()}
    for program_id in programs:
        ours = [payout for payout in facts.payouts.values() if payout.program_id == program_id]
        if not all(_is_shown(facts.versions.get(payout.id, []), payout, world) for payout in ours):
            continue
        unspent_sat = sum(
            sat
            for outpoint, (script, sat) in world.outputs.items()
            if facts.own_scripts.get(script) == program_id and outpoint not in spent
        )
        in_books = facts.books.get(("HotWallet", program_id), 0)
        if in_books != unspent_sat:
            raise Violation(
                f"I2: the books of program {program_id} hold {in_books}, the chain {unspent_sat} sat"
            )


def _is_shown(versions: list[Version], payout: Any, world: World) -> bool:
    """Tell whether the live version of a payout is the one that its books are levelled to."""
    live = [version.txid for version in versions if version.txid in world.by_txid]
    if payout.mined_txid is not None:
        return live == [payout.mined_txid]
    paying = [version.txid for version in versions if version.tx and version.kind != "void"]
    if not paying or payout.status == "voided":
        return not live
    return live == paying[-1:]


def check_histories(facts: Facts, world: World) -> None:
    """I13: every row's history leads, by listed changes, to where the row is."""
    for (subject, pk), status in facts.statuses.items():
        changes = facts.history.get((subject, pk), [])
        checks.check_history(f"{subject} {pk}", changes, status, facts.arrows[subject], FIRST[subject])


def check_entries(facts: Facts, world: World) -> None:
    """I4: every entry sums to zero per currency."""
    for pk in facts.unbalanced:
        raise Violation(f"I4: entry {pk} does not sum to zero")


def check_people(facts: Facts, world: World) -> None:
    """I8: maker, approver and releaser of a list are different people."""
    for pk in facts.same_people:
        raise Violation(f"I8: list {pk} was made, approved or released by the same person")


def check_purses(facts: Facts, world: World) -> None:
    """R-26: what a trust owes and promises people in a currency is covered by its cash there, and booked so."""
    for row in facts.purses:
        if row.booked_owed + row.booked_promised > row.booked_cash:
            raise Violation(
                f"R-26: purse {row.id} owes {row.booked_owed + row.booked_promised} {row.currency} and has "
                f"{row.booked_cash}"
            )
        said = (row.cash, row.owed, row.promised)
        if said != (row.booked_cash, row.booked_owed, row.booked_promised):
            raise Violation(f"R-26: purse {row.id} says {said}, which is not what is booked")


def check_nothing_stuck(facts: Facts) -> None:
    """I5: after healing, every released payment is settled or void, or a person was called to it."""
    for row in facts.payments:
        if row.status != "pending" or row.list_status not in ("released", "completed"):
            continue
        payout = facts.payouts.get(row.payout_id)
        if (payout is None or payout.status != "settled") and not facts.is_alarmed(row):
            where = "in no payout" if payout is None else f"in payout {payout.id}, {payout.status}"
            raise Violation(f"I5: payment {row.id} is {where}, and nobody was called")
    for payout in facts.payouts.values():
        is_called = any(
            (alarm.subject, alarm.subject_id) in (("payout", payout.id), ("wallet", payout.wallet_id))
            for alarm in facts.alarms
        )
        if payout.status in BLOCKED and not is_called:
            raise Violation(f"I5: payout {payout.id} is {payout.status}, and nobody was called")


CHECKS: tuple[Callable[[Facts, World], None], ...] = (
    check_pairwise,
    check_outputs,
    check_fee_caps,
    check_coins,
    check_fees,
    check_entries,
    check_people,
    check_purses,
    check_histories,
)
