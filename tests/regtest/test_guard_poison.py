"""Payments that the node refuses (F42): found by halving before anybody signs, held and alarmed; the others are paid."""

import pytest

from deploy.local.rpc import Rpc
from payments.models import Alarm, Destination, Disbursement, Payment, Payout, StatusChange
from payments.onchain import node
from payments.payout import dispatch, examine, halving, versions
from payments.services import holds
from payments.states import PaymentStatus, PayoutStatus
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

# OP_1 alone: anybody could take it, and no node relays it.
NOT_STANDARD = b"\x51"


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[2_000_000, 1_900_000])


def release(ministry: Ministry, count: int, *poisoned: int) -> Disbursement:
    """Release a list of which these lines pay to scripts that no node relays."""
    real = Destination.objects.create

    def create(**columns: object) -> Destination:
        line = Destination.objects.count() + 1 - before
        if line in poisoned:
            columns["script_pubkey"] = NOT_STANDARD + b"\x51" * line
        return real(**columns)

    before = Destination.objects.count()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Destination.objects, "create", create)
        return ministry.release([10_000 + line for line in range(1, count + 1)])


def pay_all(ministry: Ministry, disbursement: Disbursement) -> None:
    """Ring as often as workers would: what was quarantined is sealed anew."""
    for _ in range(2):
        ministry.pay(disbursement)


class TestPoison:
    @pytest.mark.parametrize("lines", [(1,), (7,), (20,), (3, 4, 19)])
    def test_is_held_and_alarmed_and_the_others_are_paid(
        self, lines: tuple[int, ...], ministry: Ministry
    ) -> None:
        disbursement = release(ministry, 20, *lines)
        pay_all(ministry, disbursement)
        refused, paid = ministry.payouts(disbursement)
        assert (refused.status, refused.problem) == (PayoutStatus.UNSEALED, "scriptpubkey")
        assert (paid.status, paid.payment_count) == (PayoutStatus.SENT, 20 - len(lines))
        held = Payment.objects.filter(disbursement=disbursement, status=PaymentStatus.HELD).order_by("line")
        assert tuple(held.values_list("line", flat=True)) == lines
        assert held.filter(payout__isnull=True, vout__isnull=True).count() == len(lines)
        changes = StatusChange.objects.filter(subject="payment", new=PaymentStatus.HELD)
        assert set(changes.values_list("note", "actor")) == {("The node refuses it: scriptpubkey", None)}
        alarms = Alarm.objects.filter(code="payment_refused", closed_at=None)
        assert set(alarms.values_list("subject_id", flat=True)) == set(held.values_list("pk", flat=True))
        assert set(alarms.values_list("program", flat=True)) == {ministry.program.pk}
        ministry.mine(6)
        ministry.judge(exactly=False)
        assert Payout.objects.get(pk=paid.pk).status == PayoutStatus.SETTLED

    def test_may_be_tried_again_and_is_held_again(self, ministry: Ministry) -> None:
        disbursement = release(ministry, 3, 2)
        pay_all(ministry, disbursement)
        held = Payment.objects.get(status=PaymentStatus.HELD)
        holds.resume(by=ministry.officer, payment_id=held.pk, note="Perhaps now.")
        assert Alarm.objects.filter(code="payment_refused", closed_at=None).count() == 0
        pay_all(ministry, disbursement)
        assert Payment.objects.get(status=PaymentStatus.HELD).pk == held.pk
        assert Alarm.objects.filter(code="payment_refused", closed_at=None).count() == 1

    def test_may_be_withdrawn_and_the_list_completes(self, ministry: Ministry) -> None:
        disbursement = release(ministry, 3, 2)
        pay_all(ministry, disbursement)
        held = Payment.objects.get(status=PaymentStatus.HELD)
        holds.withdraw(by=ministry.officer, payment_id=held.pk, note="No such address.")
        ministry.mine(6)
        disbursement.refresh_from_db()
        assert disbursement.status == "completed"
        assert Alarm.objects.get(code="payment_refused").close_note == "No such address."
        ministry.judge(exactly=True)

    def test_that_are_all_the_lines_pays_nobody(self, ministry: Ministry) -> None:
        disbursement = release(ministry, 3, 1, 2, 3)
        pay_all(ministry, disbursement)
        assert [payout.status for payout in ministry.payouts(disbursement)] == [PayoutStatus.UNSEALED]
        assert Payment.objects.filter(status=PaymentStatus.HELD).count() == 3
        assert ministry.miner.node.call("getrawmempool") == []


class TestRefusal:
    def test_that_is_no_single_payments_fault_unseals_and_sounds_one_alarm_for_the_list(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two data outputs are refused together and taken one by one."""
        data = {line: b"\x6a\x04" + bytes([line]) * 4 for line in (1, 2)}
        disbursement = ministry.release_to([10_000, 20_000, 30_000], data)
        for _ in range(2):
            dispatch.seal(disbursement_id=disbursement.pk)
            for pk in Payout.objects.filter(status=PayoutStatus.SEALED).values_list("pk", flat=True):
                dispatch.advance(payout_id=pk)
            Payout.objects.update(due_at=None)
        assert set(Payout.objects.values_list("status", "problem")) == {("unsealed", "multi-op-return")}
        alarm = Alarm.objects.get(code="payout_refused")
        assert (alarm.subject, alarm.subject_id, alarm.times) == ("disbursement", disbursement.pk, 2)
        assert Payment.objects.filter(status=PaymentStatus.HELD).count() == 0

    def test_of_the_signatures_alone_is_none(self, ministry: Ministry) -> None:
        dispatch.seal(disbursement_id=ministry.release([10_000] * 30).pk)
        payout = Payout.objects.get()
        verdict = node.connect().test_unsigned(bytes(payout.current.unsigned_tx))
        assert (verdict.is_acceptable, verdict.lacks_inputs) == (True, False)
        assert "script-verify-flag" in verdict.reason

    def test_costs_two_questions_for_each_halving(self, ministry: Ministry) -> None:
        asked: list[int] = []
        lines = [(pk, None) for pk in range(512)]

        def is_refused(some: object) -> bool:
            asked.append(len(some))  # type: ignore[arg-type]
            return (300, None) in some  # type: ignore[operator]

        assert halving.find_refused(lines, is_refused) == [(300, None)]  # type: ignore[arg-type]
        assert len(asked) == 1 + 2 * 9

    def test_of_a_coin_that_is_gone_meanwhile_is_no_ones_fault(self, ministry: Ministry) -> None:
        dispatch.seal(disbursement_id=ministry.release([10_000]).pk)
        payout = Payout.objects.get()
        wallet = Rpc(node_url(), wallet=ministry.program.wallet.name)
        coin = {"txid": payout.anchor_txid, "vout": payout.anchor_vout}
        sent = wallet.call("sendall", [ministry.miner.make_address()], None, "unset", "5", {"inputs": [coin]})
        assert sent["complete"]
        ministry.miner.mine(1)
        seen = examine.examine(payout.current, versions.inputs_of(payout.current), node.connect())
        assert type(seen).__name__ == "CoinGone"


def node_url() -> str:
    """Where the node of the test answers."""
    from django.conf import settings

    return str(settings.GOVPAY_NODE_URL)
