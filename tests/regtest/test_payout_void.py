"""Payouts that two people give up, on a real node: the void replaces what pays, is buried, and only then frees anybody."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import (
    Alarm,
    Disbursement,
    Intervention,
    Payment,
    Payout,
    PayoutTx,
    Program,
    Reservation,
    StatusChange,
    Wallet,
)
from payments.onchain import fee, node, tx
from payments.payout import bump, dispatch, guard, intervene, void
from payments.selectors import funds
from payments.services import interventions, reissues
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories
from tests.racing import race
from tests.regtest.giving_up import agree, balances, give_up, is_clean, kinds
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


@pytest.fixture
def treasurer(ministry: Ministry) -> User:
    return factories.make_member(ministry.program, "treasurer")


class TestVoid:
    def test_replaces_what_pays_and_frees_its_people_a_hundred_blocks_later(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        disbursement = ministry.release([40_000, 50_000, 60_000])
        (payout,) = ministry.pay(disbursement)
        original = payout.current
        payout = give_up(ministry, treasurer, payout)
        taken = payout.current
        assert (payout.status, taken.kind) == (PayoutStatus.VOIDING, "void")
        assert ministry.miner.node.call("getrawmempool") == [taken.txid]
        parsed = tx.parse(bytes(PayoutTx.objects.get(pk=taken.pk).raw or b""))
        assert [str(i) for i in parsed.inputs] == [f"{payout.anchor_txid}:{payout.anchor_vout}"]
        ((back_sat, script),) = parsed.outputs
        assert (back_sat, taken.fee_sat) == (1_000_000 - taken.fee_sat, original.fee_sat + 110)
        assert ministry.program.wallet.scripts.get(script_pubkey=script).is_claimed
        # Until a block holds the void, the books go on to believe what pays: it may still confirm.
        assert balances(ministry)["InTransit"] == 150_000
        ministry.mine(1)
        shallow = balances(ministry)
        assert (shallow["InTransit"], shallow["BeneficiariesPayable"]) == (0, -150_000)
        assert (shallow["HotWallet"], shallow["NetworkFees"]) == (1_000_000 - taken.fee_sat, taken.fee_sat)
        assert is_clean(ministry)
        ministry.mine(98)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDING
        assert set(Payment.objects.values_list("status", flat=True)) == {"pending"}
        ministry.mine(1)
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        assert (payout.status, disbursement.status) == (PayoutStatus.VOIDED, DisbursementStatus.COMPLETED)
        assert set(Payment.objects.values_list("status", flat=True)) == {"voided"}
        final = balances(ministry)
        assert (final["InTransit"], final["BeneficiariesPayable"], final["Transfers"]) == (0, 0, 0)
        assert (final["HotWallet"], final["NetworkFees"]) == (1_000_000 - taken.fee_sat, taken.fee_sat)
        assert funds.of_program(ministry.program.pk).available_sat == 1_000_000 - taken.fee_sat
        assert Reservation.objects.filter(is_live=True).count() == 0
        assert kinds(payout) == ["sealed", "committed", "signed", "sent", "voiding", "voided"]
        assert is_clean(ministry)
        ministry.judge(exactly=True)

    def test_of_a_payout_that_no_signer_ever_saw_is_the_only_way_back(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        disbursement = ministry.release([40_000, 50_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        payout = Payout.objects.get()
        Payout.objects.update(status=PayoutStatus.COMMITTED)
        StatusChange.objects.create(
            subject="payout", subject_id=payout.pk, old="sealed", new="committed", reason="a worker died here"
        )
        payout = give_up(ministry, treasurer, payout)
        assert payout.status == PayoutStatus.VOIDING
        assert PayoutTx.objects.filter(raw__isnull=False).get() == payout.current
        # It replaces nothing, so that it pays the network's rate alone.
        assert payout.current.fee_sat == 220
        ministry.mine(100)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDED
        final = balances(ministry)
        assert (final["HotWallet"], final["NetworkFees"]) == (999_780, 220)
        assert (final["InTransit"], final["BeneficiariesPayable"]) == (0, 0)
        assert is_clean(ministry)
        ministry.judge(exactly=True)

    def test_outbids_what_a_payee_hung_on_it(self, ministry: Ministry, treasurer: User) -> None:
        disbursement = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[300_000])
        theirs = ministry.miner.make_address()
        script = bytes.fromhex(ministry.miner.wallet.call("getaddressinfo", theirs)["scriptPubKey"])
        person = Payment.objects.get().beneficiary
        person.destinations.update(script_pubkey=script)
        ministry.go_on(disbursement)
        (payout,) = ministry.pay(disbursement)
        child = spend_unconfirmed(ministry, payout, fee_sat=5_000)
        assert set(ministry.miner.node.call("getrawmempool")) == {payout.current.txid, child}
        original_sat = payout.current.fee_sat
        payout = give_up(ministry, treasurer, payout)
        assert payout.current.fee_sat == original_sat + 5_000 + 110
        assert ministry.miner.node.call("getrawmempool") == [payout.current.txid]
        ministry.mine(1)

    def test_that_would_cost_more_than_its_cap_moves_nothing(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        disbursement = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[300_000])
        theirs = ministry.miner.make_address()
        script = bytes.fromhex(ministry.miner.wallet.call("getaddressinfo", theirs)["scriptPubKey"])
        Payment.objects.get().beneficiary.destinations.update(script_pubkey=script)
        ministry.go_on(disbursement)
        (payout,) = ministry.pay(disbursement)
        spend_unconfirmed(ministry, payout, fee_sat=100_000)
        with pytest.raises(void.VoidTooDear) as refused:
            interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
        assert refused.value.details["cap_sat"] == fee.fee_sat(
            weight=4 * payout.current.vsize_vb, feerate_sat_kvb=50_000
        )
        assert PayoutTx.objects.count() == 1
        assert Payout.objects.get().status == PayoutStatus.SENT

    def test_waits_for_a_bump_of_its_list_and_leaves_the_fees_that_were_approved_whole(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        ministry.miner.fund([ministry.funding_address()], 400_000)
        ministry.mine(1)
        Program.objects.update(group_max_payments=1)
        given_up, other = ministry.pay(ministry.release([40_000, 50_000]))
        agreed = agree(ministry, treasurer, given_up)
        client = node.connect()
        added_sat = bump.preview(other.pk, 5_000, client)["fee_added_sat"]
        # It pays for the bump or for the void, and not for both.
        reserved_sat = given_up.current.fee_sat + other.current.fee_sat + added_sat
        Disbursement.objects.update(fee_reserved_sat=reserved_sat)
        _, racer = race(
            lambda: bump.build(other.pk, 5_000, client),
            lambda: dispatch.intervene(intervention_id=agreed.pk),
        )
        assert racer.error is None
        agreed.refresh_from_db()
        assert agreed.status == "failed"
        assert f"at most {given_up.current.fee_sat} sat may be spent" in agreed.failure
        kinds_written = list(PayoutTx.objects.order_by("pk").values_list("kind", flat=True))
        assert kinds_written == ["original", "original", "bump"]
        assert kinds(given_up) == ["sealed", "committed", "signed", "sent"]

    def test_can_be_given_again_to_outbid_itself(self, ministry: Ministry, treasurer: User) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        first = give_up(ministry, treasurer, payout).current
        second = give_up(ministry, treasurer, payout).current
        assert second.fee_sat == first.fee_sat + 110
        assert ministry.miner.node.call("getrawmempool") == [second.txid]
        assert kinds(payout)[-1:] == ["voiding"]
        ministry.mine(100)
        assert Payout.objects.get().status == PayoutStatus.VOIDED
        assert is_clean(ministry)
        ministry.judge(exactly=True)

    def test_whose_price_rose_since_it_was_agreed_to_fails_and_moves_nothing(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        agreed = agree(ministry, treasurer, payout)
        Intervention.objects.update(preview={**agreed.preview, "new_fee_sat": payout.current.fee_sat + 109})
        dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        assert agreed.status == "failed"
        assert agreed.failure.startswith(f"It would cost {payout.current.fee_sat + 110} sat now")
        assert Alarm.objects.get().code == "intervention_failed"
        assert PayoutTx.objects.count() == 1
        assert kinds(payout) == ["sealed", "committed", "signed", "sent"]


def spend_unconfirmed(ministry: Ministry, payout: Payout, *, fee_sat: int) -> str:
    """Let the payee, who is the miner, spend what the payout pays before it is in a block; return the child's txid."""
    payment = Payment.objects.get(payout=payout)
    amount: Any = f"{(payment.amount_sat - fee_sat) / 10**8:.8f}"
    raw = ministry.miner.node.call(
        "createrawtransaction",
        [{"txid": payout.current.txid, "vout": payment.vout}],
        [{ministry.miner.make_address(): amount}],
    )
    signed = ministry.miner.wallet.call("signrawtransactionwithwallet", raw)
    return str(ministry.miner.node.call("sendrawtransaction", signed["hex"], 0))


class TestRace:
    def test_that_the_original_wins_pays_its_people_and_says_so(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        disbursement = ministry.release([40_000, 50_000])
        (payout,) = ministry.pay(disbursement)
        original = PayoutTx.objects.get()
        payout = give_up(ministry, treasurer, payout)
        void_txid = payout.current.txid
        ministry.miner.mine_only([bytes(original.raw or b"").hex()])
        dispatch.follow()
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.MINED, original.txid)
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.subject_id) == ("void_lost", "payout", payout.pk)
        assert original.txid in alarm.message
        assert balances(ministry)["NetworkFees"] == original.fee_sat
        dispatch.advance(payout_id=payout.pk)
        assert void_txid not in ministry.miner.node.call("getrawmempool")
        ministry.mine(100)
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        assert (payout.status, disbursement.status) == (PayoutStatus.SETTLED, DisbursementStatus.COMPLETED)
        assert set(Payment.objects.values_list("status", flat=True)) == {"pending"}
        assert is_clean(ministry)
        ministry.judge(exactly=True)


class Killed(Exception):
    """The worker died here."""


class TestCrash:
    @pytest.mark.parametrize("point", ["K14-planned", "K14"])
    def test_anywhere_leaves_one_void_and_one_end(
        self, ministry: Ministry, treasurer: User, settings: object, point: str
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        agreed = agree(ministry, treasurer, payout)

        def die(reached: str) -> None:
            if reached == point:
                raise Killed

        client = node.connect()
        with pytest.raises(Killed):
            intervene.carry_out(agreed.pk, client, failpoint=die)
        agreed.refresh_from_db()
        versions = PayoutTx.objects.filter(payout=payout, kind="void").count()
        assert (agreed.status, versions) == (("done", 1) if point == "K14" else ("approved", 0))
        for _ in range(2):
            dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        version = PayoutTx.objects.get(payout=payout, kind="void")
        assert (agreed.status, agreed.version) == ("done", version)
        assert kinds(payout) == ["sealed", "committed", "signed", "sent", "voiding"]
        dispatch.advance(payout_id=payout.pk)
        assert ministry.miner.node.call("getrawmempool") == [version.txid]

    def test_of_a_bump_takes_version_and_end_back_together(
        self, ministry: Ministry, treasurer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="bump", feerate_sat_kvb=5_000)
        asked = interventions.propose(
            by=treasurer, payout_id=payout.pk, kind="bump", note="It waits.", shown=shown
        )

        def die(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(intervene, "_finish", die)
            with pytest.raises(Killed):
                dispatch.intervene(intervention_id=asked.pk)
        asked.refresh_from_db()
        assert (asked.status, PayoutTx.objects.count()) == ("approved", 1)
        dispatch.intervene(intervention_id=asked.pk)
        dispatch.intervene(intervention_id=asked.pk)
        asked.refresh_from_db()
        assert (asked.status, asked.version) == ("done", PayoutTx.objects.get(kind="bump"))
        assert PayoutTx.objects.get(kind="bump").fee_sat == shown["new_fee_sat"]

    def test_of_a_bump_that_became_dearer_fails_and_moves_nothing(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="bump", feerate_sat_kvb=5_000)
        asked = interventions.propose(
            by=treasurer,
            payout_id=payout.pk,
            kind="bump",
            note="It waits.",
            shown={**shown, "new_fee_sat": shown["new_fee_sat"] - 1},
        )
        dispatch.intervene(intervention_id=asked.pk)
        asked.refresh_from_db()
        assert (asked.status, PayoutTx.objects.count()) == ("failed", 1)
        assert asked.failure.startswith(f"It would cost {shown['new_fee_sat']} sat now")


class TestUnhalt:
    def halt(self, ministry: Ministry) -> Wallet:
        wallet = Wallet.objects.get(program=ministry.program)
        guard.halt(wallet, guard.HaltCode.WALLET_CHANGED, "The node had another wallet.")
        return wallet

    def agree(self, ministry: Ministry, treasurer: User) -> Intervention:
        program_id = ministry.program.pk
        shown = interventions.look_at_halt(by=treasurer, program_id=program_id)
        asked = interventions.propose_unhalt(
            by=treasurer, program_id=program_id, note="The right one is back.", shown=shown
        )
        return interventions.approve(by=ministry.approver, intervention_id=asked.pk)

    def test_lets_the_wallet_pay_again(self, ministry: Ministry, treasurer: User) -> None:
        wallet = self.halt(ministry)
        disbursement = ministry.release([40_000])
        assert ministry.pay(disbursement) == []
        agreed = self.agree(ministry, treasurer)
        dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        wallet.refresh_from_db()
        assert (agreed.status, wallet.halted_at, wallet.halt_code) == ("done", None, "")
        assert Alarm.objects.filter(closed_at=None).count() == 0
        (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SENT

    def test_is_refused_while_the_cause_stands(self, ministry: Ministry, treasurer: User) -> None:
        wallet = self.halt(ministry)
        checksum = wallet.descriptor_checksum
        Wallet.objects.update(descriptor_checksum="another")
        with pytest.raises(guard.WalletHalted):
            interventions.look_at_halt(by=treasurer, program_id=ministry.program.pk)
        assert Intervention.objects.count() == 0
        Wallet.objects.update(descriptor_checksum=checksum)
        agreed = self.agree(ministry, treasurer)
        Wallet.objects.update(descriptor_checksum="another")
        dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        wallet.refresh_from_db()
        assert (agreed.status, wallet.halted_at is None) == ("failed", False)


class TestReissue:
    def test_pays_the_same_people_by_another_list_and_each_of_them_once(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000, 50_000]))
        give_up(ministry, treasurer, payout)
        ministry.mine(99)
        with pytest.raises(reissues.VoidNotFinal):
            reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        ministry.mine(1)
        made = reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        (second,) = ministry.pay(ministry.go_on(made))
        assert (second.status, second.payment_count) == (PayoutStatus.SENT, 2)
        ministry.mine(6)
        second.refresh_from_db()
        made.refresh_from_db()
        assert (second.status, made.status) == (PayoutStatus.SETTLED, DisbursementStatus.COMPLETED)
        assert balances(ministry)["Transfers"] == 90_000
        assert is_clean(ministry)
        ministry.judge(exactly=True)
