"""Roles: which exclude each other, who gives them, how they end, and what ends with them."""

from collections.abc import Callable
from itertools import combinations

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from govpay.errors import Forbidden, InvalidInput, SamePersonTwice
from govpay.models import UserSession
from payments.models import Membership, PastMembership, Program, Proposal, Role
from payments.models.roles import INCOMPATIBLE
from payments.services import proposals, roles
from payments.services.authority import RoleMissing
from tests import factories, racing

pytestmark = pytest.mark.django_db

PAIRS = sorted(combinations(sorted(Role.values), 2))


@pytest.fixture
def security(program: Program) -> User:
    """Proposes."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    """Confirms."""
    return factories.make_member(program, "security", "samuel")


def held(user: User) -> list[str]:
    """The user's roles, in any program."""
    return sorted(Membership.objects.filter(user=user).values_list("role", flat=True))


def change(by: User, confirmed_by: User, program: Program, kind: str, user: User, role: str) -> Proposal:
    """Two people change a role."""
    made = proposals.propose_role(
        by=by, program_id=program.pk, kind=kind, username=user.username, role=role, note="They asked."
    )
    return proposals.confirm(by=confirmed_by, proposal_id=made.pk)


class TestIncompatible:
    @pytest.mark.parametrize(("one", "other"), PAIRS)
    def test_is_refused_by_service_and_database_alike(self, program: Program, one: str, other: str) -> None:
        user, by = factories.make_member(program, one, "somebody"), factories.make_administrator()
        is_refused = frozenset({one, other}) in INCOMPATIBLE
        if is_refused:
            with pytest.raises(roles.IncompatibleRoles) as refusal:
                roles.grant(by=by, program_id=program.pk, user=user, role=other)
            assert refusal.value.code == "incompatible_roles"
            assert refusal.value.details["roles"] == [one, other]
            for first, then in ((one, other), (other, one)):
                Membership.objects.filter(user=user).update(role=first)
                with pytest.raises(IntegrityError) as broken, transaction.atomic():
                    Membership.objects.create(program=program, user=user, role=then, granted_by=by)
                assert isinstance(broken.value.__cause__, psycopg.errors.CheckViolation)
                assert broken.value.__cause__.diag.constraint_name == "membership_compatible_roles"
            assert held(user) == [other]
        else:
            roles.grant(by=by, program_id=program.pk, user=user, role=other)
            assert held(user) == sorted([one, other])

    def test_leaves_treasurer_and_signer_operator_to_one_person_and_nothing_else(self) -> None:
        free = {pair for pair in PAIRS if frozenset(pair) not in INCOMPATIBLE}
        assert free == {("signer", "treasurer")}
        assert len(INCOMPATIBLE) == len(PAIRS) - 1

    def test_holds_for_a_role_that_is_changed_in_place(self, program: Program) -> None:
        user = factories.make_member(program, "treasurer", "somebody")
        Membership.objects.create(program=program, user=user, role="signer", granted_by=user)
        with pytest.raises(IntegrityError), transaction.atomic():
            Membership.objects.filter(user=user, role="signer").update(role="approver")
        assert held(user) == ["signer", "treasurer"]

    def test_is_of_one_program(self, program: Program) -> None:
        user = factories.make_member(program, "officer", "somebody")
        other = factories.make_program("OTHER")
        roles.grant(by=factories.make_administrator(), program_id=other.pk, user=user, role="auditor")
        assert held(user) == ["auditor", "officer"]


@pytest.mark.django_db(transaction=True)
class TestIncompatibleAtOnce:
    def test_two_grants_give_one_role(self) -> None:
        program, user = factories.make_program(), factories.make_user("somebody")
        by = factories.make_administrator()

        def give(role: str) -> Callable[[], object]:
            return lambda: Membership.objects.create(program=program, user=user, role=role, granted_by=by)

        _, late = racing.race(give("officer"), give("releaser"))
        assert isinstance(late.error, IntegrityError)
        assert held(user) == ["officer"]

    def test_two_services_give_one_role(self) -> None:
        program, user = factories.make_program(), factories.make_user("somebody")
        by = factories.make_administrator()

        def give(role: str) -> Callable[[], object]:
            return lambda: roles.grant(by=by, program_id=program.pk, user=user, role=role)

        _, late = racing.race(give("officer"), give("releaser"))
        assert isinstance(late.error, roles.IncompatibleRoles)
        assert held(user) == ["officer"]

    def test_two_confirmations_never_leave_fewer_than_two_security_administrators(self) -> None:
        program = factories.make_program()
        cast = [factories.make_member(program, "security", f"security-{n}") for n in range(3)]
        asked = [
            proposals.propose_role(
                by=cast[n],
                program_id=program.pk,
                kind="revocation",
                username=cast[n].username,
                role="security",
                note="I leave.",
            )
            for n in (0, 1)
        ]

        def confirm(proposal: Proposal) -> Callable[[], object]:
            return lambda: proposals.confirm(by=cast[2], proposal_id=proposal.pk)

        _, late = racing.race(confirm(asked[0]), confirm(asked[1]))
        assert isinstance(late.error, roles.SecurityShort)
        assert Membership.objects.filter(program=program, role="security").count() == 2

    def test_of_two_who_make_the_second_security_administrator_one_is_late(self) -> None:
        program, by = factories.make_program(), factories.make_administrator()
        factories.make_member(program, "security", "sana")
        users = [factories.make_user(name) for name in ("samuel", "saul")]

        def give(user: User) -> Callable[[], object]:
            return lambda: roles.grant(by=by, program_id=program.pk, user=user, role="security")

        _, late = racing.race(give(users[0]), give(users[1]))
        assert isinstance(late.error, roles.RolesByProposal)
        assert held(users[1]) == []


class TestSetUp:
    def test_ends_with_the_second_security_administrator(self, program: Program) -> None:
        by = factories.make_administrator()
        for n, name in enumerate(("sana", "samuel")):
            assert roles.is_set_up(program.pk) is False
            user = factories.make_user(name)
            roles.grant(by=by, program_id=program.pk, user=user, role="security")
            assert Membership.objects.count() == n + 1
        late = factories.make_user("late")
        with pytest.raises(roles.RolesByProposal):
            roles.grant(by=by, program_id=program.pk, user=late, role="officer")
        assert held(late) == []

    def test_goes_on_while_one_of_two_is_not_active(
        self, program: Program, security: User, second: User
    ) -> None:
        User.objects.filter(pk=second.pk).update(is_active=False)
        user = factories.make_user("somebody")
        roles.grant(by=factories.make_administrator(), program_id=program.pk, user=user, role="security")
        assert roles.is_set_up(program.pk) is True

    def test_gives_nobody_a_role_of_their_own(self, program: Program) -> None:
        by = factories.make_administrator()
        with pytest.raises(SamePersonTwice):
            roles.grant(by=by, program_id=program.pk, user=by, role="security")
        assert held(by) == []

    def test_needs_the_permission(self, program: Program, security: User) -> None:
        with pytest.raises(Forbidden):
            roles.grant(by=security, program_id=program.pk, user=factories.make_user("n"), role="officer")
        assert Membership.objects.count() == 1


class TestProposedRole:
    def test_is_given_by_two(self, program: Program, security: User, second: User) -> None:
        user = factories.make_user("somebody")
        made = change(security, second, program, "grant", user, "approver")
        assert (made.status, made.before, made.after) == (
            "confirmed",
            {"roles": []},
            {"roles": ["approver"]},
        )
        assert held(user) == ["approver"]
        assert Membership.objects.get(user=user).granted_by == second

    def test_is_refused_where_it_excludes_another(
        self, program: Program, security: User, second: User, officer: User
    ) -> None:
        with pytest.raises(roles.IncompatibleRoles):
            change(security, second, program, "grant", officer, "releaser")
        assert Proposal.objects.count() == 0
        assert held(officer) == ["officer"]

    def test_is_stale_once_the_roles_are_others(self, program: Program, security: User, second: User) -> None:
        user = factories.make_user("somebody")
        made = proposals.propose_role(
            by=security, program_id=program.pk, kind="grant", username="somebody", role="signer", note="New."
        )
        Membership.objects.create(program=program, user=user, role="treasurer", granted_by=second)
        with pytest.raises(proposals.ProposalStale) as refusal:
            proposals.confirm(by=second, proposal_id=made.pk)
        assert refusal.value.code == "proposal_stale"
        assert held(user) == ["treasurer"]

    def test_is_nobodys_own(self, program: Program, security: User, second: User, officer: User) -> None:
        with pytest.raises(SamePersonTwice):
            change(security, second, program, "grant", security, "officer")
        made = proposals.propose_role(
            by=security,
            program_id=program.pk,
            kind="grant",
            username=factories.make_user("third").username,
            role="security",
            note="A third.",
        )
        with pytest.raises(SamePersonTwice):
            proposals.confirm(by=security, proposal_id=made.pk)
        with pytest.raises(SamePersonTwice):
            proposals.reject(by=security, proposal_id=made.pk, note="No.")
        proposals.confirm(by=second, proposal_id=made.pk)
        about_second = proposals.propose_role(
            by=security,
            program_id=program.pk,
            kind="revocation",
            username="samuel",
            role="security",
            note="They leave.",
        )
        with pytest.raises(SamePersonTwice):
            proposals.confirm(by=second, proposal_id=about_second.pk)
        assert held(second) == ["security"]

    @pytest.mark.parametrize("role", sorted(set(Role.values) - {"security"}))
    def test_is_for_security_administrators_alone(
        self, program: Program, security: User, second: User, role: str
    ) -> None:
        made = proposals.propose_role(
            by=security,
            program_id=program.pk,
            kind="grant",
            username=factories.make_user("somebody").username,
            role="officer",
            note="New.",
        )
        other = factories.make_member(program, role, "other")
        with pytest.raises(RoleMissing):
            change(other, second, program, "grant", second, "officer")
        with pytest.raises(Forbidden if role not in ("helpdesk", "agent") else Exception):
            proposals.confirm(by=other, proposal_id=made.pk)
        assert Proposal.objects.get().status == "proposed"

    def test_names_somebody_there_is(self, program: Program, security: User, second: User) -> None:
        for kind, name in (("grant", "nobody"), ("revocation", factories.make_user("stranger").username)):
            with pytest.raises(InvalidInput) as refusal:
                proposals.propose_role(
                    by=security, program_id=program.pk, kind=kind, username=name, role="officer", note="?"
                )
            assert refusal.value.details["errors"][0]["code"] == "user_unknown"


class TestRevocation:
    def test_is_kept(self, program: Program, security: User, second: User, officer: User) -> None:
        began = Membership.objects.get(user=officer)
        change(security, second, program, "revocation", officer, "officer")
        assert held(officer) == []
        past = PastMembership.objects.get()
        assert (past.user, past.role, past.granted_at) == (officer, "officer", began.created_at)
        assert (past.granted_by, past.ended_by) == (began.granted_by, second)

    def test_by_hand_is_kept_too(self, program: Program, officer: User) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM payments_membership WHERE user_id = %s", [officer.pk])
        assert PastMembership.objects.get().ended_by is None

    def test_leaves_the_way_open_for_the_same_role_again(
        self, program: Program, security: User, second: User, officer: User
    ) -> None:
        for _ in range(2):
            change(security, second, program, "revocation", officer, "officer")
            change(second, security, program, "grant", officer, "officer")
        assert held(officer) == ["officer"]
        assert PastMembership.objects.filter(user=officer).count() == 2

    def test_leaves_two_security_administrators(self, program: Program, security: User, second: User) -> None:
        with pytest.raises(roles.SecurityShort):
            change(security, second, program, "revocation", security, "security")
        third = factories.make_member(program, "security", "third")
        change(security, third, program, "revocation", second, "security")
        assert sorted(
            Membership.objects.filter(role="security").values_list("user__username", flat=True)
        ) == [
            "sana",
            "third",
        ]

    def test_of_a_role_that_nobody_holds_is_refused(
        self, program: Program, security: User, second: User, officer: User
    ) -> None:
        with pytest.raises(roles.MembershipMissing):
            change(security, second, program, "revocation", officer, "auditor")
        assert held(officer) == ["officer"]


class TestSessions:
    @pytest.fixture
    def signed_in(self, officer: User) -> tuple[Client, APIClient]:
        """The officer in a browser, and with a token of the API."""
        browser = Client()
        browser.force_login(officer)
        caller = APIClient()
        _, token = AuthToken.objects.create(user=officer)
        caller.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return browser, caller

    @pytest.mark.parametrize(("kind", "role"), [("revocation", "officer"), ("grant", None)])
    def test_end_with_a_change_of_role_at_the_next_request(
        self,
        program: Program,
        security: User,
        second: User,
        officer: User,
        signed_in: tuple[Client, APIClient],
        kind: str,
        role: str | None,
    ) -> None:
        browser, caller = signed_in
        colleague = Client()
        colleague.force_login(second)
        if role is None:
            # Any new role, in whatever program.
            program, role = factories.make_program("OTHER"), "auditor"
            for name in ("sana", "samuel"):
                user = User.objects.get(username=name)
                Membership.objects.create(program=program, user=user, role="security", granted_by=user)
        assert browser.get("/admin/").status_code == 200
        assert caller.get("/api/v1/auth/me/").status_code == 200
        change(security, second, program, kind, officer, role)
        assert browser.get("/admin/").status_code == 302
        assert caller.get("/api/v1/auth/me/").status_code == 401
        assert UserSession.objects.filter(user=officer).count() == 0
        assert colleague.get("/admin/").status_code == 200

    def test_are_known_by_whose_they_are(self, officer: User) -> None:
        browser = Client()
        browser.get("/admin/login/")
        browser.force_login(officer)
        assert list(UserSession.objects.values_list("user", flat=True)) == [officer.pk]
        browser.logout()
        assert UserSession.objects.count() == 0
