"""The law of a program: what its profile lets through on which day, and who changes which one it names (R-24)."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from govpay.errors import InvalidInput
from ledger.law.policy import PolicyRefused
from ledger.models import Entry
from payments.models import Disbursement, Program
from payments.services import disbursements, proposals
from tests import factories, travelling

pytestmark = pytest.mark.django_db

IN_2022, IN_2026 = datetime(2022, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def people(officer: User, approver: User, releaser: User) -> tuple[User, User, User]:
    """Who makes, approves and releases."""
    return officer, approver, releaser


def under(program: Program, profile: str) -> None:
    Program.objects.filter(pk=program.pk).update(policy_profile=profile)
    program.refresh_from_db()


def approve(program: Program, people: tuple[User, User, User], at: datetime) -> Disbursement:
    """An approved list as of a moment."""
    factories.fund(program, 1_000_000)
    made = factories.make_disbursement(program, people[0])
    made = disbursements.submit(by=people[0], disbursement_id=made.pk, now=at)
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.approve(by=people[1], disbursement_id=made.pk, manifest_hash=agreed, now=at)


def release(made: Disbursement, people: tuple[User, User, User], at: datetime) -> Disbursement:
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.release(by=people[2], disbursement_id=made.pk, manifest_hash=agreed, now=at)


class TestRelease:
    @pytest.mark.parametrize(("profile", "at"), [("el-salvador-2021", IN_2022), ("sandbox", IN_2026)])
    def test_pays_in_bitcoin_where_the_law_of_the_day_lets_it(
        self, program: Program, people: tuple[User, User, User], profile: str, at: datetime
    ) -> None:
        under(program, profile)
        # The travel rule of 2021 asks what the list is worth in dollars.
        travelling.say_dollars(at)
        assert release(approve(program, people, at), people, at).status == "released"

    @pytest.mark.parametrize(
        ("profile", "at", "ruling"),
        [
            ("el-salvador-2025", IN_2026, "refused"),
            ("el-salvador-2021", IN_2026, "not_in_force"),
            ("el-salvador-2025", IN_2022, "not_in_force"),
            ("pakistan-2026", IN_2026, "undetermined"),
        ],
    )
    def test_refuses_the_same_list_elsewhere_or_on_another_day_and_moves_nothing(
        self,
        program: Program,
        people: tuple[User, User, User],
        profile: str,
        at: datetime,
        ruling: str,
    ) -> None:
        made = approve(program, people, at)
        under(program, profile)
        entries = Entry.objects.count()
        with pytest.raises(PolicyRefused) as refused:
            release(made, people, at)
        details = refused.value.details
        assert (details["profile"], details["rule"], details["ruling"]) == (profile, "pay_in_btc", ruling)
        made.refresh_from_db()
        assert (made.status, made.released_by, Entry.objects.count()) == ("approved", None, entries)
        # It is the same list that goes out once the law allows it.
        under(program, "sandbox")
        assert release(made, people, at).status == "released"


class TestNaming:
    def test_takes_two_people(self, program: Program) -> None:
        first = factories.make_member(program, "security", "sana")
        second = factories.make_member(program, "security", "samuel")
        asked = {"policy_profile": "el-salvador-2025"}
        made = proposals.propose_rules(
            by=first, program_id=program.pk, asked=asked, note="The law was amended."
        )
        assert (made.before, made.after) == ({"policy_profile": "sandbox"}, asked)
        program.refresh_from_db()
        assert program.policy_profile == "sandbox"
        proposals.confirm(by=second, proposal_id=made.pk)
        program.refresh_from_db()
        assert program.policy_profile == "el-salvador-2025"

    def test_refuses_a_law_that_there_is_not(self, program: Program) -> None:
        first = factories.make_member(program, "security", "sana")
        with pytest.raises(InvalidInput, match="no policy profile 'atlantis'"):
            proposals.propose_rules(
                by=first, program_id=program.pk, asked={"policy_profile": "atlantis"}, note="Why not."
            )
        with pytest.raises(IntegrityError), transaction.atomic():
            under(program, "")
