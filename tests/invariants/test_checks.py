"""The checker itself: a sound little world passes every check, and each thing that can be wrong is found by its own."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace as Row
from typing import Any

import pytest

from tests.invariants import checks, installation
from tests.invariants.checks import Owed, SignedTx, Violation
from tests.invariants.facts import ARCHITECTURE, Facts, Version, read_arrows
from tests.invariants.installation import World

OWN, ANNA, BEN, STRANGER = b"own", b"anna", b"ben", b"stranger"
COIN, OTHER_COIN = ("deposit", 0), ("deposit", 1)


def make_tx(
    txid: str, inputs: set[checks.OutPoint], *outputs: tuple[bytes, int], vsize_vb: int = 100
) -> SignedTx:
    return SignedTx(txid, frozenset(inputs), outputs, raw=txid.encode(), vsize_vb=vsize_vb)


DEPOSIT = make_tx("deposit", set(), (OWN, 10_000), (OWN, 5_000))
PAID = make_tx("paid", {COIN}, (ANNA, 4_000), (BEN, 3_000), (OWN, 2_800))
BUMPED = make_tx("bumped", {COIN}, (ANNA, 4_000), (BEN, 3_000), (OWN, 2_600))
VOID = make_tx("void", {COIN}, (OWN, 9_500))


@dataclass
class Scene:
    """One settled payout with two payments and a bump that was not needed."""

    facts: Facts
    world: World

    def judge(self) -> None:
        for check in installation.CHECKS:
            check(self.facts, self.world)
        installation.check_spends(self.facts, self.world, set())
        installation.check_wallets(self.facts, self.world)
        installation.check_nothing_stuck(self.facts)
        checks.check_paid(self.facts.owed, self.world.live, exactly=True)

    def payment(self, pk: int) -> Any:
        return next(row for row in self.facts.payments if row.id == pk)


@pytest.fixture
def scene() -> Scene:
    payment = {"status": "pending", "payout_id": 1, "reissue_of_id": None, "disbursement_id": 7}
    lists = {"list_status": "completed", "program_id": 1}
    facts = Facts(
        payments=[
            Row(id=1, script_pubkey=ANNA, amount_sat=4_000, vout=0, **payment, **lists),
            Row(id=2, script_pubkey=BEN, amount_sat=3_000, vout=1, **payment, **lists),
        ],
        payouts={
            1: Row(
                id=1,
                kind="payments",
                status="settled",
                payment_count=2,
                mined_txid="paid",
                booked_fee_sat=200,
                disbursement_id=7,
                wallet_id=1,
                anchor_txid="deposit",
                anchor_vout=0,
                program_id=1,
                ceiling_sat_kvb=2_000,
                note=None,
            )
        },
        versions={1: [Version(1, "original", "paid", 200, PAID), Version(1, "bump", "bumped", 400, BUMPED)]},
        reservations=[Row(payout_id=1, txid="deposit", vout=0, is_live=True)],
        reserves={7: 400},
        alarms=[],
        history={
            ("payout", 1): [
                ("", "sealed"),
                ("sealed", "committed"),
                ("committed", "signed"),
                ("signed", "sent"),
                ("sent", "mined"),
                ("mined", "settled"),
            ]
        },
        statuses={("payout", 1): "settled", ("payment", 1): "pending"},
        own_scripts={OWN: 1},
        books={("HotWallet", 1): 7_800, ("NetworkFees", 1): 200},
        unbalanced=[],
        same_people=[],
    )
    return Scene(facts, World([[DEPOSIT], [PAID]], []))


def change(row: str, pk: int, **columns: Any) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        found = scene.payment(pk) if row == "payment" else scene.facts.payouts[pk]
        vars(found).update(columns)

    return apply


def sign(*versions: Version) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        scene.facts.versions[1] = list(versions)

    return apply


def mine(*txs: SignedTx) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        scene.world = World([[DEPOSIT], list(txs)], [])

    return apply


def say(name: str, value: Any) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        setattr(scene.facts, name, value)

    return apply


def reissue(shares_input: bool) -> Callable[[Scene], None]:
    """Pay Anna's payment a second time, as a reissue of the first, from another coin or from the same."""

    def apply(scene: Scene) -> None:
        coin = COIN if shares_input else OTHER_COIN
        again = make_tx("again", {coin}, (ANNA, 4_000), (OWN, 800))
        first = scene.payment(1)
        scene.facts.payments.append(Row(**vars(first) | {"id": 3, "reissue_of_id": 1, "payout_id": 2}))
        vars(first)["status"] = "voided"
        payout = vars(scene.facts.payouts[1]) | {
            "id": 2,
            "payment_count": 1,
            "mined_txid": None,
            "status": "signed",
            "anchor_txid": coin[0],
            "anchor_vout": coin[1],
        }
        scene.facts.payouts[2] = Row(**payout)
        scene.facts.versions[2] = [Version(2, "original", "again", 200, again)]
        scene.facts.reservations.append(
            Row(payout_id=2, txid=coin[0], vout=coin[1], is_live=not shares_input)
        )

    return apply


def anchor(tx: SignedTx, *, times: int = 1) -> Callable[[Scene], None]:
    """Anchor a checkpoint by this tx, in one payout or in several."""

    def apply(scene: Scene) -> None:
        for pk in range(2, 2 + times):
            columns = {"id": pk, "kind": "anchor", "payment_count": 0, "status": "sent", "note": NOTE}
            scene.facts.payouts[pk] = Row(**vars(scene.facts.payouts[1]) | columns)
            scene.facts.versions[pk] = [
                Version(pk, "original", tx.txid, 100, replace(tx, inputs=tx.inputs | {COIN}))
            ]
            scene.facts.reservations += [
                Row(payout_id=pk, txid=t, vout=v, is_live=False) for t, v in (COIN, OTHER_COIN)
            ]

    return apply


PURSE: dict[str, Any] = {
    "id": 1,
    "currency": "PKR",
    "cash": 10,
    "owed": 5,
    "promised": 5,
    "booked_cash": 10,
    "booked_owed": 5,
    "booked_promised": 5,
}
NOTE = "a checkpoint"
COMMITMENT = (checks.commitment(NOTE), 0)
ANCHORED = make_tx("anchored", {OTHER_COIN}, COMMITMENT, (OWN, 4_900))
ORIGINAL = Version(1, "original", "paid", 200, PAID)
UNSHARED = make_tx("unshared", {OTHER_COIN}, (ANNA, 4_000), (BEN, 3_000))
LESS = make_tx("less", {COIN}, (ANNA, 4_000), (BEN, 2_999), (OWN, 2_801))
TAKEN = make_tx("taken", {COIN}, (ANNA, 4_000), (BEN, 3_000), (STRANGER, 2_800))
HELD = replace(TAKEN, outputs=((ANNA, 4_000), (BEN, 3_000), COMMITMENT))
VOID_TO_STRANGER = make_tx("void", {COIN}, (STRANGER, 9_500))
DEAR = make_tx("dear", {COIN}, (ANNA, 4_000), (BEN, 3_000), (OWN, 1_799), vsize_vb=100)
WIDE = make_tx("wide", {COIN, OTHER_COIN}, (ANNA, 4_000), (BEN, 3_000), (OWN, 7_700))

WRONG: list[tuple[str, str, Callable[[Scene], None]]] = [
    ("I1a", "share no input", sign(ORIGINAL, Version(1, "bump", "unshared", 300, UNSHARED))),
    ("I1a", "share no input", reissue(shares_input=False)),
    ("I1a", "does not spend the anchor", change("payout", 1, anchor_vout=9)),
    ("I1b", "was not paid", mine()),
    ("I1b", "was paid 2 times", mine(PAID, make_tx("twin", set(), (ANNA, 4_000)))),
    ("I1b", "another amount", mine(PAID, make_tx("twin", set(), (BEN, 1)))),
    ("I2", "hold 7801", say("books", {("HotWallet", 1): 7_801, ("NetworkFees", 1): 200})),
    ("I3", "is not stored", mine(PAID, make_tx("theft", {OTHER_COIN}, (STRANGER, 5_000)))),
    ("I3", "byte for byte", sign(replace(ORIGINAL, tx=replace(PAID, raw=b"other")))),
    ("I4", "does not sum to zero", say("unbalanced", [3])),
    ("I7", "does not pay payment 2", sign(ORIGINAL, Version(1, "bump", "less", 200, LESS))),
    ("I7", "which nobody approved", sign(ORIGINAL, Version(1, "bump", "taken", 200, TAKEN))),
    ("I7", "which nobody approved", sign(ORIGINAL, Version(1, "void", "void", 500, VOID_TO_STRANGER))),
    ("I7", "its list is approved", change("payment", 1, list_status="approved")),
    ("I7", "has 2 payments, not 3", change("payout", 1, payment_count=3)),
    ("I7", "its ceiling is 1200", sign(ORIGINAL, Version(1, "bump", "dear", 1_201, DEAR))),
    ("I7", "400 were approved", sign(ORIGINAL, Version(1, "bump", "dear", 401, DEAR))),
    ("I7", "does not hold the commitment", anchor(replace(ANCHORED, outputs=((OWN, 4_900),)))),
    ("I7", "does not hold the commitment", anchor(replace(ANCHORED, outputs=(COMMITMENT, COMMITMENT)))),
    ("I7", "does not hold the commitment", anchor(replace(ANCHORED, outputs=((COMMITMENT[0], 1),)))),
    ("I7", "which nobody approved", anchor(replace(ANCHORED, outputs=(COMMITMENT, (STRANGER, 1))))),
    ("I7", "which nobody approved", sign(ORIGINAL, Version(1, "bump", "held", 200, HELD))),
    ("I7", "anchored by two payouts", anchor(ANCHORED, times=2)),
    ("I8", "by the same person", say("same_people", [7])),
    ("R-26", "owes 11 PKR and has 10", say("purses", [Row(**PURSE | {"booked_owed": 6})])),
    ("R-26", "which is not what is booked", say("purses", [Row(**PURSE | {"cash": 11})])),
    (
        "I9",
        "is reserved 2 times",
        say("reservations", [Row(payout_id=1, txid="deposit", vout=0, is_live=True)] * 2),
    ),
    ("I9", "did not reserve", sign(ORIGINAL, Version(1, "bump", "wide", 300, WIDE))),
    ("I10", "201 are stored", sign(replace(ORIGINAL, fee_sat=201))),
    ("I10", "199 are booked", change("payout", 1, booked_fee_sat=199)),
    ("I10", "of fees, not 200", say("books", {("HotWallet", 1): 7_800, ("NetworkFees", 1): 199})),
    ("I13", "which is not listed", say("history", {("payout", 1): [("", "sealed"), ("sealed", "settled")]})),
    ("I13", "while it was sealed", say("history", {("payout", 1): [("", "sealed"), ("mined", "settled")]})),
    ("I13", "its history ends in sealed", say("history", {("payout", 1): [("", "sealed")]})),
]


class TestSoundWorld:
    def test_passes(self, scene: Scene) -> None:
        scene.judge()

    def test_passes_with_the_bump_confirmed(self, scene: Scene) -> None:
        mine(BUMPED)(scene)
        change("payout", 1, mined_txid="bumped", booked_fee_sat=400)(scene)
        say("books", {("HotWallet", 1): 7_600, ("NetworkFees", 1): 400})(scene)
        scene.judge()

    def test_passes_with_an_anchor(self, scene: Scene) -> None:
        anchor(ANCHORED)(scene)
        installation.check_outputs(scene.facts, scene.world)

    def test_lets_a_void_that_is_buried_make_room_for_a_reissue(self, scene: Scene) -> None:
        reissue(shares_input=False)(scene)
        sign(ORIGINAL, Version(1, "void", "void", 500, VOID))(scene)
        for depth, is_sound in ((99, False), (100, True)):
            scene.world = World([[DEPOSIT], [VOID], *([] for _ in range(depth - 1))], [])
            if is_sound:
                installation.check_pairwise(scene.facts, scene.world)
            else:
                with pytest.raises(Violation, match=r"^I1a"):
                    installation.check_pairwise(scene.facts, scene.world)


class TestWrongWorld:
    @pytest.mark.parametrize(("invariant", "words", "spoil"), WRONG, ids=[f"{i} {w}" for i, w, _ in WRONG])
    def test_is_found(self, invariant: str, words: str, spoil: Callable[[Scene], None], scene: Scene) -> None:
        scene.facts = copy.deepcopy(scene.facts)
        spoil(scene)
        with pytest.raises(Violation, match=f"^{invariant}: .*{words}"):
            scene.judge()


class TestStolenCoins:
    def test_are_in_the_books_until_reconciliation_shows_the_break(self, scene: Scene) -> None:
        mine(PAID, make_tx("theft", {OTHER_COIN}, (STRANGER, 5_000)))(scene)
        installation.check_wallets(scene.facts, scene.world, {"theft"})
        with pytest.raises(Violation, match=r"^I2: the books of program 1 hold 7800, the chain 2800 sat"):
            installation.check_wallets(scene.facts, scene.world)

    def test_do_not_excuse_books_that_are_wrong(self, scene: Scene) -> None:
        mine(PAID, make_tx("theft", {OTHER_COIN}, (STRANGER, 5_000)))(scene)
        scene.facts.books["HotWallet", 1] = 2_800
        with pytest.raises(Violation, match=r"^I2: the books of program 1 hold 2800, the chain 7800 sat"):
            installation.check_wallets(scene.facts, scene.world, {"theft"})


class TestStuck:
    def test_payment_that_no_payout_took_needs_an_alarm(self, scene: Scene) -> None:
        change("payment", 2, payout_id=None)(scene)
        with pytest.raises(Violation, match=r"^I5: payment 2 is in no payout"):
            installation.check_nothing_stuck(scene.facts)
        for subject, pk in (("payment", 2), ("disbursement", 7), ("wallet", 5), ("node", 0)):
            scene.facts.alarms = [Row(code="stuck", subject=subject, subject_id=pk, program_id=1)]
            installation.check_nothing_stuck(scene.facts)

    @pytest.mark.parametrize(
        "status", ["sealed", "committed", "signed", "sent", "mined", "frozen", "voiding"]
    )
    def test_payout_needs_an_alarm(self, status: str, scene: Scene) -> None:
        change("payout", 1, status=status)(scene)
        with pytest.raises(Violation, match=r"^I5"):
            installation.check_nothing_stuck(scene.facts)
        for subject, pk in (("payout", 1), ("wallet", 1)):
            scene.facts.alarms = [Row(code="stuck", subject=subject, subject_id=pk, program_id=1)]
            installation.check_nothing_stuck(scene.facts)
        scene.facts.alarms = [Row(code="stuck", subject="payout", subject_id=2, program_id=1)]
        with pytest.raises(Violation, match=r"^I5"):
            installation.check_nothing_stuck(scene.facts)


class TestArrows:
    def test_are_read_from_the_diagrams(self) -> None:
        arrows = read_arrows(ARCHITECTURE)
        assert ("sealed", "committed") in arrows["payout"]
        assert ("sealed", "signed") not in arrows["payout"]
        assert {"disbursement", "payment", "payout", "intervention"} <= set(arrows)


class TestSeveralPaymentsToOneScript:
    def test_are_counted_by_amount(self) -> None:
        owed = [Owed(1, ANNA, 4_000), Owed(2, ANNA, 4_000), Owed(3, ANNA, 5_000)]
        live = [make_tx("a", set(), (ANNA, 4_000), (ANNA, 5_000)), make_tx("b", set(), (ANNA, 4_000))]
        checks.check_paid(owed, live, exactly=True)
        with pytest.raises(Violation, match=r"^I1b: payment 2 was paid 3 times"):
            checks.check_paid(owed, [*live, live[1]], exactly=False)
