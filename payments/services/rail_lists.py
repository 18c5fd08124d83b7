"""Copies into a list what its rail needs when it is submitted, and says whether it can be paid when it is released."""

from django.db import connection

from govpay.errors import InvalidInput
from payments.models import Disbursement, Rail
from payments.services import bank_files

MAX_ERRORS = 100
COPY = """
UPDATE payments_payment p SET bank_account_id = a.id FROM payments_bankaccount a
WHERE p.disbursement_id = %s AND a.beneficiary_id = p.beneficiary_id AND a.is_current
"""
MISSING = """
SELECT line FROM payments_payment WHERE disbursement_id = %s AND bank_account_id IS NULL ORDER BY line LIMIT %s
"""


def prepare(disbursement: Disbursement) -> None:
    """Copy every person's account into a list that is submitted for the bank; refuse people without one.

    A voucher needs nothing of its person before it is printed.
    """
    if disbursement.rail != Rail.BANK:
        return
    with connection.cursor() as cursor:
        cursor.execute(COPY, [disbursement.pk])
        cursor.execute(MISSING, [disbursement.pk, MAX_ERRORS])
        lines = [line for (line,) in cursor.fetchall()]
    if lines:
        message = "This person has no bank account to be paid at."
        raise InvalidInput(
            f"{len(lines)} lines or more cannot be paid by bank; nothing was submitted.",
            errors=[
                {"row": line, "column": "", "code": "account_missing", "message": message} for line in lines
            ],
        )


def require_payable(disbursement: Disbursement) -> None:
    """Raise NoPayingAccount where a list that is about to be released has no account to be paid from."""
    if disbursement.rail == Rail.BANK:
        bank_files.paying_account(disbursement.program.scope, disbursement.program.currency)
