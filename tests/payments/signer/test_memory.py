"""The rules about the past: a payment is signed again only where one of its txs at most can confirm."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.signer import memory, store
from payments.signer.refusal import Refusal
from payments.signer.store import Signed
from tests.payments.signer import scene
from tests.payments.signer.scene import Coin, Draft

ORIGINAL = Draft(coins=[Coin(1), Coin(2)], change=[(4, 217_000)])
BUMP = replace(ORIGINAL, kind="bump", change=[(4, 210_000)])
VOID = Draft(kind="void", paid=[], change=[(5, 199_000)])


def refusal(draft: Draft, *earlier: Draft, accepted: tuple[str, ...] = (), **caps: Any) -> str:
    """The code by which the draft is refused after the others were signed."""
    with pytest.raises(Refusal) as refused:
        scene.judge(draft.bundle(), signed(*earlier), scene.configure(**caps), accepted=accepted)
    return refused.value.code


def signed(*drafts: Draft) -> list[Signed]:
    """What a signer remembers of these, signed in turn."""
    return [scene.record(draft) for draft in drafts]


class TestOnePayment:
    def test_is_signed_once(self) -> None:
        judged = scene.judge(ORIGINAL.bundle())
        assert not judged.is_repeat
        assert judged.record == Signed(
            txid=ORIGINAL.bundle().txid,
            payout_id=7,
            kind="original",
            inputs={Coin(1).outpoint: 200_000, Coin(2).outpoint: 200_000},
            payments=tuple((x.payment_id, x.script_pubkey.hex(), x.amount) for x in scene.lines()),
            fee_sat=3_000,
            spent_sat=183_000,
            manifest_sha256=judged.record.manifest_sha256,
            signed_at="2026-11-25T12:00:00Z",
            listed_in="PENSIONS/12",
        )

    def test_is_signed_again_in_the_very_same_tx(self) -> None:
        judged = scene.judge(ORIGINAL.bundle(), signed(ORIGINAL))
        assert (judged.is_repeat, judged.record.spent_sat) == (True, 0)
        assert judged.notes == ("This signer signed this very tx before; it signs it again.",)

    def test_is_signed_again_in_a_bump_that_keeps_an_input(self) -> None:
        judged = scene.judge(BUMP.bundle(), signed(ORIGINAL))
        assert (judged.is_repeat, judged.record.fee_sat, judged.record.spent_sat) == (False, 10_000, 7_000)
        added = replace(BUMP, coins=[Coin(1), Coin(3), Coin(2)], change=[(4, 405_000)])
        assert scene.judge(added.bundle(), signed(ORIGINAL, BUMP)).record.spent_sat == 5_000

    def test_is_refused_with_other_inputs(self) -> None:
        """The attack: the same people again, from other coins."""
        elsewhere = replace(ORIGINAL, coins=[Coin(3), Coin(4)])
        for change in ({}, {"kind": "bump"}, {"payout_id": 8}, {"payout_id": 8, "kind": "bump"}):
            assert refusal(replace(elsewhere, **change), ORIGINAL) == "payment_elsewhere"

    def test_is_refused_with_an_input_of_one_earlier_tx_but_not_of_each(self) -> None:
        first = replace(ORIGINAL, coins=[Coin(1), Coin(2)])
        second = replace(BUMP, coins=[Coin(1), Coin(3)])
        # It shares coin 3 with the second, and none with the first.
        third = replace(BUMP, coins=[Coin(3), Coin(4)], change=[(4, 211_000)])
        assert refusal(third, first, second) == "payment_elsewhere"

    def test_is_refused_in_another_payout_with_the_same_input(self) -> None:
        assert refusal(replace(BUMP, payout_id=8), ORIGINAL) == "payment_in_other_payout"

    def test_is_refused_when_another_list_pays_it_together_with_others(self) -> None:
        more = [*scene.lines(1, start=50), scene.lines()[0]]
        mixed = Draft(payout_id=9, coins=[Coin(5)], paid=more, change=[(6, 97_000)])
        assert refusal(mixed, ORIGINAL) == "payment_elsewhere"

    @given(st.lists(st.sets(st.integers(1, 4), min_size=1), min_size=1, max_size=6))
    def test_is_only_ever_in_txs_that_share_an_input_pairwise(self, tries: list[set[int]]) -> None:
        kept: list[Signed] = []
        codes: set[str] = set()
        for number, coins in enumerate(tries):
            draft = Draft(
                kind="bump",
                coins=[Coin(n) for n in sorted(coins)],
                change=[(4, 200_000 * len(coins) - 183_000 - number)],
            )
            try:
                judged = scene.judge(draft.bundle(), kept)
            except Refusal as refused:
                codes.add(refused.code)
            else:
                kept.append(judged.record)
        assert codes <= {"payment_elsewhere"}
        assert kept
        for one in kept:
            for other in kept:
                assert one.inputs.keys() & other.inputs.keys()


class TestOnePayout:
    def test_pays_the_same_in_every_version(self) -> None:
        fewer = replace(BUMP, paid=scene.lines(2), change=[(4, 280_000)])
        more = replace(BUMP, paid=scene.lines(4), change=[(4, 130_000)])
        for draft in (fewer, more):
            assert refusal(draft, ORIGINAL) == "payout_differs"

    def test_has_one_original(self) -> None:
        other = replace(ORIGINAL, change=[(5, 217_000)])
        assert refusal(other, ORIGINAL) == "original_twice"

    def test_shares_an_input_with_all_that_was_signed_for_it(self) -> None:
        assert refusal(replace(VOID, coins=[Coin(9)]), ORIGINAL) == "payout_disjoint"
        consolidation = Draft(kind="consolidation", paid=[], coins=[Coin(8)], change=[(4, 199_000)])
        assert refusal(consolidation, replace(consolidation, coins=[Coin(9)])) == "payout_disjoint"

    def test_is_voided_by_its_own_input_and_then_over(self) -> None:
        judged = scene.judge(VOID.bundle(), signed(ORIGINAL))
        assert judged.record.spent_sat == 0
        assert refusal(BUMP, ORIGINAL, VOID) == "payout_voided"
        assert refusal(ORIGINAL, ORIGINAL, VOID) == "payout_voided"
        higher = replace(VOID, change=[(5, 196_000)])
        assert scene.judge(higher.bundle(), signed(ORIGINAL, VOID)).record.fee_sat == 4_000

    def test_that_was_a_consolidation_pays_nobody_later(self) -> None:
        own = Draft(kind="consolidation", paid=[], coins=[Coin(1)], change=[(4, 199_000)])
        assert refusal(Draft(kind="bump", coins=[Coin(1)]), own) == "payout_differs"

    @pytest.mark.parametrize(
        "said",
        [
            {"payout_id": 8},
            {"kind": "bump"},
            {"paid": [scene.lines()[1], scene.lines()[0], scene.lines()[2]]},
        ],
    )
    def test_is_not_said_to_be_another_the_second_time(self, said: dict[str, Any]) -> None:
        twins = [line._replace(script_pubkey=scene.script(1), amount=60_000) for line in scene.lines()]
        first = Draft(paid=twins, listed=twins)
        if "paid" in said:
            said = {"paid": [twins[1], twins[0], twins[2]]}
        again = replace(first, **said)
        assert again.bundle().txid == first.bundle().txid
        assert refusal(again, first) in {"repeat_differs", "payment_in_other_payout"}


class TestOneInput:
    OTHER = Draft(
        payout_id=8,
        paid=scene.lines(start=201),
        coins=[Coin(2)],
        change=[(6, 17_000)],
        header={"disbursement_id": 13},
    )

    def test_is_not_used_for_two_payouts(self) -> None:
        assert refusal(self.OTHER, ORIGINAL) == "input_reused"

    def test_may_be_accepted_where_the_configuration_says_so(self) -> None:
        assert refusal(self.OTHER, ORIGINAL, accepted=("input_reused",)) == "accept_not_allowed"
        found = scene.configure(may_accept=("input_reused",))
        judged = scene.judge(self.OTHER.bundle(), signed(ORIGINAL), found, accepted=("input_reused",))
        assert judged.record.accepted == ("input_reused",)
        assert judged.notes == (f"The input {Coin(2).outpoint} was in a tx of payout 7 before.",)

    def test_is_free_once_the_payout_was_voided_by_another_input(self) -> None:
        judged = scene.judge(self.OTHER.bundle(), signed(ORIGINAL, VOID))
        assert judged.notes == (f"The input {Coin(2).outpoint} was in a tx of payout 7 before.",)
        # The void itself must confirm: its input stays taken.
        assert refusal(replace(self.OTHER, coins=[Coin(1)]), ORIGINAL, VOID) == "input_reused"

    def test_is_free_when_only_a_bump_had_added_it(self) -> None:
        bumped = replace(BUMP, coins=[Coin(1), Coin(2), Coin(3)], change=[(4, 405_000)])
        draft = replace(self.OTHER, coins=[Coin(3)])
        assert scene.judge(draft.bundle(), signed(ORIGINAL, bumped)).record.payout_id == 8
        assert refusal(draft, bumped) == "input_reused"

    def test_has_one_amount_for_ever(self) -> None:
        """Two stories about two inputs would give two sets of signatures that fit together into a huge fee."""
        lie = replace(ORIGINAL, coins=[Coin(1, 150_000), Coin(2, 250_000)])
        assert refusal(lie, ORIGINAL) == "input_amount_changed"
        lie = replace(self.OTHER, coins=[Coin(2, 200_001)])
        assert refusal(lie, ORIGINAL) == "input_amount_changed"


class TestReissue:
    AGAIN = Draft(
        payout_id=8,
        coins=[Coin(9)],
        paid=[scene.lines(1, start=301)[0]._replace(reissue_of=101)],
        change=[(6, 147_000)],
        header={"disbursement_id": 14},
    )
    LOOK = (
        " The two could both confirm unless the void is buried in the chain: look for it with a node that is not the "
        "server's, before you agree."
    )

    def test_waits_for_the_void(self) -> None:
        assert refusal(self.AGAIN, ORIGINAL) == "reissue_without_void"
        judged = scene.judge(self.AGAIN.bundle(), signed(ORIGINAL, VOID))
        assert judged.notes == (f"Payment 301 reissues 101, signed in {ORIGINAL.bundle().txid}.{self.LOOK}",)

    def test_asks_no_one_to_look_where_its_coins_keep_the_two_apart(self) -> None:
        """It spends what the void gave back, or a coin of all that paid before: one at most confirms."""
        back = Coin(0, 199_000, made_by=VOID.bundle().txid)
        for coins in ([Coin(9), back], [Coin(2)]):
            amount_sat = sum(coin.amount_sat for coin in coins) - 53_000
            apart = replace(self.AGAIN, coins=coins, change=[(6, amount_sat)])
            judged = scene.judge(apart.bundle(), signed(ORIGINAL, VOID))
            assert f"Payment 301 reissues 101, signed in {ORIGINAL.bundle().txid}." in judged.notes
        # A bump without the coin could confirm beside it.
        assert any(
            note.endswith(self.LOOK)
            for note in scene.judge(
                replace(self.AGAIN, coins=[Coin(2)]).bundle(),
                signed(ORIGINAL, replace(BUMP, coins=[Coin(1), Coin(3)]), VOID),
            ).notes
        )

    def test_may_be_accepted_where_the_configuration_says_so(self) -> None:
        found = scene.configure(may_accept=("reissue_without_void",))
        accepted = ("reissue_without_void",)
        judged = scene.judge(self.AGAIN.bundle(), signed(ORIGINAL), found, accepted=accepted)
        assert judged.record.accepted == accepted

    def test_of_what_this_signer_never_signed_is_signed(self) -> None:
        assert scene.judge(self.AGAIN.bundle()).notes == ()


class TestOneList:
    FIRST = Draft(payout_id=7, listed=scene.lines(6), header={"fee_ceiling_sat": 8_000})
    SECOND = replace(
        FIRST, payout_id=8, paid=scene.lines(6)[3:], coins=[Coin(2, 300_000)], change=[(5, 27_000)]
    )

    def test_is_paid_in_several_payouts(self) -> None:
        assert scene.judge(self.SECOND.bundle(), signed(self.FIRST)).record.listed_in == "PENSIONS/12"

    def test_has_one_manifest_for_ever(self) -> None:
        """Approvers who sign "the same list again" must not pay its people twice under other payment ids."""
        again = Draft(payout_id=9, coins=[Coin(5)], paid=scene.lines(start=801))
        assert [line.script_pubkey for line in again.paid] != [line.script_pubkey for line in self.FIRST.paid]
        same_people = [
            line._replace(payment_id=number) for number, line in enumerate(self.FIRST.paid, start=801)
        ]
        for draft in (again, replace(again, paid=same_people)):
            assert refusal(draft, self.FIRST) == "list_differs"
        other = replace(again, header={"disbursement_id": 13})
        assert scene.judge(other.bundle(), signed(self.FIRST)).record.listed_in == "PENSIONS/13"

    def test_gives_no_more_in_fees_than_its_approvers_agreed_to(self) -> None:
        assert (scene.record(self.FIRST).fee_sat, scene.record(self.SECOND).fee_sat) == (3_000, 3_000)
        # A payout counts with its highest fee: 5,000 and 3,000 are what was agreed to.
        dearer = replace(self.SECOND, kind="bump", change=[(5, 25_000)])
        assert scene.judge(dearer.bundle(), signed(self.FIRST, self.SECOND)).record.fee_sat == 5_000
        too_dear = replace(dearer, change=[(5, 24_999)])
        assert refusal(too_dear, self.FIRST, self.SECOND) == "list_fee_cap"
        # The payout that was bumped cannot be made cheaper again to let another give more.
        bumped = replace(self.FIRST, kind="bump", change=[(4, 12_000)])
        assert refusal(self.SECOND, self.FIRST, bumped) == "list_fee_cap"

    def test_is_remembered_by_the_store(self, tmp_path: Path) -> None:
        store.create(tmp_path, network="regtest", wallet="w", descriptor="d", now=scene.NOW)
        opened = store.open_(tmp_path, network="regtest", wallet="w", descriptor="d")
        records = signed(self.FIRST, self.SECOND)
        records.append(scene.record(replace(self.FIRST, kind="bump", change=[(4, 15_500)]), records))
        other = scene.record(
            Draft(payout_id=9, coins=[Coin(5)], paid=scene.lines(start=901), header={"disbursement_id": 13})
        )
        with opened.exclusive():
            for one in (*records, other):
                opened.append(one)
        assert opened.of_list("PENSIONS/12") == store.ListPast(
            frozenset({records[0].manifest_sha256}), {7: 4_500, 8: 3_000}, frozenset({""})
        )
        assert opened.of_list("PENSIONS/1") == store.ListPast()


class TestDay:
    def test_holds_its_cap(self) -> None:
        found = scene.configure(day_sat=1_000_000)
        assert scene.judge(ORIGINAL.bundle(), (), found, spent_sat=817_000).day_spent_sat == 817_000
        with pytest.raises(Refusal) as refused:
            scene.judge(ORIGINAL.bundle(), (), found, spent_sat=817_001)
        assert refused.value.code == "day_cap"

    def test_does_not_begin_anew_for_a_clock_that_went_back(self, tmp_path: Path) -> None:
        store.create(tmp_path, network="regtest", wallet="w", descriptor="d", now=scene.NOW)
        opened = store.open_(tmp_path, network="regtest", wallet="w", descriptor="d")
        with opened.exclusive():
            opened.append(scene.record(ORIGINAL))
        examined = scene.examine(TestOneInput.OTHER.bundle())
        for hours, spent_sat in ((-48, 183_000), (0, 183_000), (11, 183_000), (12, 0)):
            past = memory.recall(opened, examined, now=scene.NOW + timedelta(hours=hours))
            assert past.day_spent_sat == spent_sat
            assert past.now >= scene.NOW
