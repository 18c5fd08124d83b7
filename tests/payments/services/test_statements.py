"""Fixing, approving and releasing a list send as many statements for hundreds of lines as for a few."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Disbursement, Program
from payments.services import disbursements
from tests import budgeting, factories

pytestmark = pytest.mark.django_db

HANDFUL = 40


def count(act: Callable[..., object], **arguments: object) -> int:
    """Return how many statements it sends."""
    with CaptureQueriesContext(connection) as sent:
        act(**arguments)
    return len(sent)


def test_are_as_many_for_hundreds_of_lines_as_for_a_few(
    program: Program, officer: User, approver: User, releaser: User
) -> None:
    factories.fund(program, 100_000_000)
    budgeting.make_period(program, allotted_sat=90_000_000, cash_sat=90_000_000)
    found = []
    for lines in (5, 400):
        made = factories.make_disbursement(
            program, officer, amounts_sat=[1_000] * lines, period=f"lines-{lines}"
        )
        asked: dict[str, object] = {"disbursement_id": made.pk}
        submitting = count(disbursements.submit, by=officer, **asked)
        asked["manifest_hash"] = bytes(Disbursement.objects.get(pk=made.pk).manifest_hash or b"")
        approving = count(disbursements.approve, by=approver, **asked)
        found.append((submitting, approving, count(disbursements.release, by=releaser, **asked)))
    few, many = found
    assert few == many
    assert max(many) <= HANDFUL, many
