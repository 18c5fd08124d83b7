"""The books, packs, receipts and reconciliation of a list that a real node paid stay whole when a person of it is erased."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from ledger import verify
from ledger.packs import receipts
from ledger.reconciliation import service
from ledger.seals import checkpoints, sealer
from payments.models import Beneficiary, Disbursement, Enrollment
from payments.services import erasures
from tests import factories
from tests.regtest.ministry import Ministry
from tests.regtest.paid_list import ministry as ministry
from tests.regtest.paid_list import story as story

pytestmark = pytest.mark.django_db(transaction=True)


class TestErasure:
    def test_of_a_paid_person_leaves_the_books_whole(
        self, ministry: Ministry, story: Disbursement, tmp_path: Path
    ) -> None:
        payment = story.payments.order_by("line").first()
        assert payment is not None
        enrollment = Enrollment.objects.get(beneficiary=payment.beneficiary)
        eraser = factories.make_user("eraser", erasures.PERMISSION)
        story.program.memberships.create(user=eraser, role="auditor", granted_by=eraser)
        asked = erasures.ask(by=story.made_by, enrollment_id=enrollment.pk, note="Asked in writing.")
        erasures.confirm(by=eraser, erasure_id=asked.pk, note="Checked.")
        assert Beneficiary.objects.get(pk=payment.beneficiary_id).personal == erasures.NOTHING_KNOWN
        runs = service.reconcile(scope=None, now=timezone.now())
        assert [run.break_count for run in runs] == [0]
        sealer.seal()
        checkpoints.issue()
        call_command("audit_pack", str(tmp_path / "pack"), all=True)
        verify.Pack(verify.Folder(tmp_path / "pack"), None, (), lambda text: None).check()
        receipt = verify.check_receipt(receipts.make(payment.pk), "regtest")
        assert (receipt.payment, receipt.amount_sat) == (str(payment.pk), payment.amount_sat)
