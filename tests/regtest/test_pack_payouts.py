"""Packs of what did not go straight: payouts given up or raised, lines withdrawn before the release and after it."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from ledger import verify
from ledger.seals import checkpoints, sealer
from payments.models import Disbursement, Payment, Payout, StatusChange
from payments.payout import dispatch
from payments.services import disbursements, holds
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.giving_up import give_up
from tests.regtest.ministry import Ministry
from tests.regtest.paid_list import ministry as ministry
from tests.regtest.paid_list import prove_all
from tests.regtest.test_payout_bump import raise_fee

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def treasurer(ministry: Ministry) -> User:
    return factories.make_member(ministry.program, "treasurer")


def lacks(made: Disbursement, folder: Path) -> list[str]:
    """Seal, make packs of the list and of all books, check them; return what they say that the books lack."""
    prove_all()
    sealer.seal()
    checkpoints.issue()
    found = []
    for name, which in (("list", {"disbursement": str(made.pk)}), ("all", {"all": True})):
        call_command("audit_pack", str(folder / name), **which)
        pack = verify.Pack(verify.Folder(folder / name), "regtest", (), lambda text: None)
        pack.check()
        found += [message for messages in pack.lacks.values() for message in messages]
    return found


def withdraw(ministry: Ministry, payment: Payment) -> None:
    """Take a line out of its list, as two people."""
    holds.hold(by=ministry.officer, payment_id=payment.pk, note="Somebody called.")
    holds.withdraw(by=ministry.approver, payment_id=payment.pk, note="It is so.")


class TestPack:
    def test_of_a_payout_that_was_given_up(self, ministry: Ministry, treasurer: User, tmp_path: Path) -> None:
        made = ministry.release([40_000, 50_000])
        (payout,) = ministry.pay(made)
        give_up(ministry, treasurer, payout)
        ministry.mine(100)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDED
        assert lacks(made, tmp_path) == []

    def test_of_a_payout_that_was_given_up_before_anybody_signed_it(
        self, ministry: Ministry, treasurer: User, tmp_path: Path
    ) -> None:
        made = ministry.release([40_000, 50_000])
        dispatch.seal(disbursement_id=made.pk)
        payout = Payout.objects.get()
        Payout.objects.update(status=PayoutStatus.COMMITTED)
        StatusChange.objects.create(
            subject="payout", subject_id=payout.pk, old="sealed", new="committed", reason="a worker died here"
        )
        give_up(ministry, treasurer, payout)
        ministry.mine(100)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDED
        assert lacks(made, tmp_path) == []

    def test_of_a_payout_whose_fee_was_raised(self, ministry: Ministry, tmp_path: Path) -> None:
        made = ministry.release([40_000, 50_000])
        (payout,) = ministry.pay(made)
        raise_fee(payout, 10_000)
        ministry.mine(6)
        assert lacks(made, tmp_path) == []

    def test_of_a_list_with_lines_that_were_withdrawn(self, ministry: Ministry, tmp_path: Path) -> None:
        made = factories.make_disbursement(
            ministry.program, ministry.officer, amounts_sat=[40_000, 50_000, 60_000, 70_000]
        )
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        first, second, third, _ = Payment.objects.filter(disbursement=made).order_by("pk")
        agreed = {"disbursement_id": made.pk, "manifest_hash": bytes(made.manifest_hash or b"")}
        withdraw(ministry, first)
        disbursements.approve(by=ministry.approver, **agreed)
        withdraw(ministry, second)
        disbursements.release(by=ministry.releaser, **agreed)
        withdraw(ministry, third)
        ministry.pay(made)
        ministry.mine(6)
        assert lacks(made, tmp_path) == []

    def test_of_an_approved_list_that_was_withdrawn(self, ministry: Ministry, tmp_path: Path) -> None:
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[40_000, 50_000])
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        agreed = {"disbursement_id": made.pk, "manifest_hash": bytes(made.manifest_hash or b"")}
        disbursements.approve(by=ministry.approver, **agreed)
        disbursements.cancel(by=ministry.officer, disbursement_id=made.pk, note="The list was wrong.")
        assert lacks(made, tmp_path) == []
