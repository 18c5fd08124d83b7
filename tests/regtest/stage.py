"""Sets a released list on the stage from inside ``manage.py shell``, for tests that drive real workers."""

from django.conf import settings

from deploy.local.regtest import Miner
from payments.models import Program
from tests.regtest.ministry import Ministry

PEOPLE = 30


def release(period: str) -> None:
    """Release a list of 30 people in three payouts, for a program that is made and funded the first time."""
    program = Program.objects.filter(code="PENSIONS").first()
    if program is None:
        ministry = Ministry.open(deposits_sat=[5_000_000] * 3, group_max_payments=10)
    else:
        members = {m.role: m.user for m in program.memberships.select_related("user")}
        miner = Miner(settings.GOVPAY_NODE_URL)
        ministry = Ministry(program, miner, members["officer"], members["approver"], members["releaser"])
        ministry.deposit([2_000_000])
    ministry.release([40_000 + n for n in range(PEOPLE)], period=period)
