"""A reserve of a few addresses, an institution behind it, and two treasurers who may record lots."""

import pytest
from django.contrib.auth.models import User

from payments.models import Holding, Institution, Program
from tests import factories

A = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
B = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
C = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"


@pytest.fixture
def held(program: Program) -> Holding:
    return factories.make_holding([A, B, C])


@pytest.fixture
def office(program: Program) -> Institution:
    return factories.make_institution()


@pytest.fixture
def tara(program: Program) -> User:
    return factories.make_member(program, "treasurer", "tara")


@pytest.fixture
def tom(program: Program) -> User:
    """A second treasurer, who may record lots."""
    user = factories.make_user("tom", "ledger.add_lotmovement")
    program.memberships.create(user=user, role="treasurer", granted_by=user)
    return user
