"""Takes the files of trusts to their banks, and what the banks say of them back: members of the board, one is enough.

What is paid was decided by two of them.
"""

from typing import BinaryIO

from django.contrib.auth.models import User

from govpay.errors import NotFound
from payments.models import BankFile, BankReport, Trust
from payments.services import bank_reports, bank_writing
from payments.services.board import NotOnTheBoard, is_member
from payments.services.trust_payouts import ORIGIN


def file_of(decision_id: int) -> BankFile:
    """Return the file that a decision made; raise NotFound."""
    found = BankFile.objects.filter(origin=ORIGIN, origin_id=decision_id).select_related("fetched_by").first()
    if found is None:
        raise NotFound("The decision made no file.")
    return found


def fetch(*, by: User, decision_id: int) -> tuple[BankFile, BinaryIO]:
    """Take the file of a decision to the bank, as a member of the board; raises as `bank_writing.fetch`."""
    return bank_writing.fetch(by=by, bank_file_id=file_of(decision_id).pk)


def take_report(*, by: User, trust_id: int, file: BinaryIO) -> BankReport:
    """Take a bank's report (pain.002) on a file of a trust, as a member of its board; raises as `bank_reports.take`."""
    trust = Trust.objects.get(pk=trust_id)
    if not is_member(by, trust.pk):
        raise NotOnTheBoard(f"Only the board of {trust} brings what its bank says.")
    return bank_reports.take(by=by, scope=trust.scope, file=file)
