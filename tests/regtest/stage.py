"""Sets lists and bumps on the stage from inside ``manage.py shell``, for tests that drive real workers."""

from django.conf import settings
from knox.models import AuthToken

from deploy.local.regtest import Miner
from payments.models import InterventionKind, Payout, Program
from payments.services import disbursements, interventions
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry

PEOPLE = 30


def open_program() -> None:
    """Make and fund a program, before workers run: two that open its wallet at once would be in each other's way."""
    Ministry.open(deposits_sat=[5_000_000] * 3, group_max_payments=10)


def release(period: str) -> None:
    """Release a list of 30 people in three payouts."""
    ministry = find()
    ministry.deposit([2_000_000])
    ministry.release([40_000 + n for n in range(PEOPLE)], period=period)


def approve(period: str) -> None:
    """Leave a list waiting for its release."""
    ministry = find()
    made = factories.make_disbursement(
        ministry.program, ministry.officer, amounts_sat=[30_000], period=period
    )
    made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)


def token(role: str) -> str:
    """Return a token of whoever holds the role."""
    user = Program.objects.get(code="PENSIONS").memberships.get(role=role).user
    return str(AuthToken.objects.create(user=user)[1])


def find() -> Ministry:
    """Return who works in the program."""
    program = Program.objects.get(code="PENSIONS")
    members = {m.role: m.user for m in program.memberships.select_related("user")}
    miner = Miner(settings.GOVPAY_NODE_URL)
    return Ministry(program, miner, members["officer"], members["approver"], members["releaser"])


def bump() -> None:
    """Have a treasurer raise the fee of a payout that waits; an approver agrees, where one may not add so much alone."""
    payout = Payout.objects.filter(status=PayoutStatus.SENT).select_related("wallet__program").latest("pk")
    program, kind = payout.wallet.program, InterventionKind.BUMP
    found = program.memberships.filter(role="treasurer").first()
    by = found.user if found is not None else factories.make_member(program, "treasurer")
    shown = interventions.preview(by=by, payout_id=payout.pk, kind=kind, feerate_sat_kvb=5_000)
    asked = interventions.propose(by=by, payout_id=payout.pk, kind=kind, note="It waits.", shown=shown)
    if asked.needs_second:
        approver = program.memberships.get(role="approver").user
        interventions.approve(by=approver, intervention_id=asked.pk)
