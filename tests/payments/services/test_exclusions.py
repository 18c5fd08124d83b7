"""Exclusion lists and appeals: a hit holds the payment, the rest is paid, and what is lifted goes on and stays lifted."""

import datetime
import io

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import Forbidden, InvalidInput, NotFound, SamePersonTwice
from payments.models import Appeal, Disbursement, Enrollment, Exclusion, ExclusionList, Hold, Program
from payments.payout import screening
from payments.services import appeals, authority, disbursements, exclusions, holds, people
from tests import factories, racing
from tests.payments.services.files import make_person, people_csv
from tests.payments.services.test_destinations import list_with, statuses, take_through

pytestmark = pytest.mark.django_db

GOOD = make_person(1)
TODAY = timezone.now().date()


@pytest.fixture
def enrollment(program: Program, officer: User) -> Enrollment:
    return people.enroll(by=officer, program_id=program.pk, **GOOD)


def make_list(by: User, program: Program | None, **given: object) -> ExclusionList:
    values: dict[str, object] = {
        "name": "Deceased",
        "reason": "Registered as deceased.",
        "source": "Civil registry, October.",
        "valid_from": TODAY,
    } | given
    return exclusions.create(by=by, program_id=program.pk if program else None, **values)  # type: ignore[arg-type]


def load(by: User, found: ExclusionList, *ids: str) -> exclusions.Loaded:
    file = io.BytesIO(("national_id\n" + "".join(f"{text}\n" for text in ids)).encode())
    return exclusions.load(by=by, exclusion_list_id=found.pk, file=file)


@pytest.fixture
def excluded(program: Program, officer: User, enrollment: Enrollment) -> Exclusion:
    """The person, on a list that the officer filled."""
    load(officer, make_list(officer, program), GOOD["national_id"])
    return Exclusion.objects.get()


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "officer", "second-officer")


def lodge(by: User, enrollment: Enrollment, entry: Exclusion) -> Appeal:
    return appeals.lodge(
        by=by, enrollment_id=enrollment.pk, exclusion_id=entry.pk, lodged_by="Her son", text="She lives."
    )


class TestLoad:
    def test_keeps_hashes_only(self, program: Program, officer: User, enrollment: Enrollment) -> None:
        found = make_list(officer, program)
        spelled = GOOD["national_id"].replace("-", " ")
        assert load(officer, found, GOOD["national_id"], spelled, "99999-1") == (3, 2)
        assert load(officer, found, GOOD["national_id"]) == (1, 0)
        hashes = {bytes(h) for h in Exclusion.objects.values_list("identity_hash", flat=True)}
        assert bytes(enrollment.beneficiary.identity_hash) in hashes
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT row_to_json(e)::text || row_to_json(x)::text FROM payments_exclusion e"
                " JOIN payments_exclusionlist x ON x.id = e.exclusion_list_id"
            )
            assert all(GOOD["national_id"] not in text for (text,) in cursor.fetchall())

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"national_id\n12345\nx\n", "national_id_malformed"),
            (b"id\n12345\n", "column_unknown"),
            (b"", "file_empty"),
            (b"national_id\n12345,6\n", "row_width"),
            ("national_id\n\uff11\uff12\uff13\uff14\uff15\n".encode(), "national_id_malformed"),
        ],
    )
    def test_refuses_a_bad_file_whole_without_repeating_an_id(
        self, program: Program, officer: User, content: bytes, code: str
    ) -> None:
        found = make_list(officer, program)
        with pytest.raises(InvalidInput) as refusal:
            exclusions.load(by=officer, exclusion_list_id=found.pk, file=io.BytesIO(content))
        assert code in [error["code"] for error in refusal.value.details["errors"]]
        assert "12345" not in str(refusal.value.details)
        assert Exclusion.objects.count() == 0

    def test_of_a_program_is_for_its_officers(
        self, program: Program, officer: User, approver: User, outsider: User
    ) -> None:
        with pytest.raises(authority.RoleMissing):
            make_list(approver, program)
        found = make_list(officer, program)
        with pytest.raises(authority.RoleMissing):
            load(approver, found, "12345")
        with pytest.raises(NotFound):
            load(outsider, found, "12345")
        assert Exclusion.objects.count() == 0

    def test_of_all_programs_needs_a_permission(self, program: Program, officer: User) -> None:
        with pytest.raises(Forbidden):
            make_list(officer, None)
        keeper = factories.make_user("keeper", "payments.add_exclusionlist")
        found = make_list(keeper, None)
        with pytest.raises(NotFound):
            load(officer, found, "12345")
        assert load(keeper, found, "12345") == (1, 1)

    def test_refuses_two_lists_of_a_name_and_reversed_dates(self, program: Program, officer: User) -> None:
        make_list(officer, program)
        with pytest.raises(exclusions.ExclusionListExists):
            make_list(officer, program)
        with pytest.raises(InvalidInput):
            make_list(officer, program, name="Moved", valid_to=TODAY - datetime.timedelta(days=1))
        assert ExclusionList.objects.count() == 1


class TestEnrollment:
    def test_of_an_excluded_person_is_noted_and_not_refused(self, program: Program, officer: User) -> None:
        load(officer, make_list(officer, program), make_person(2)["national_id"])
        intake = people.import_csv(
            by=officer,
            program_id=program.pk,
            file=io.BytesIO(people_csv(*(make_person(n) for n in (1, 2, 3)))),
            filename="people.csv",
        )
        assert (intake.status, intake.rows_loaded, intake.rows_refused) == ("loaded", 3, 0)
        assert list(intake.errors.values_list("row", "code")) == [(2, "person_excluded")]


class TestScreening:
    def test_holds_the_line_and_pays_the_rest(
        self,
        program: Program,
        enrollment: Enrollment,
        excluded: Exclusion,
        officer: User,
        approver: User,
        releaser: User,
    ) -> None:
        factories.fund(program)
        made = take_through(list_with(program, officer, enrollment), officer, approver, releaser)
        assert statuses(made) == ["held", "pending", "pending"]
        hold = Hold.objects.get()
        assert (hold.rule, hold.subject_id) == ("person_excluded", excluded.pk)
        assert hold.note == "On the list Deceased: Registered as deceased."
        with pytest.raises(holds.HoldStands):
            holds.resume(by=approver, payment_id=hold.payment_id, note="I know her.")

    def test_sees_inside_the_release_what_was_loaded_after_the_approval(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program)
        made = disbursements.submit(by=officer, disbursement_id=list_with(program, officer, enrollment).pk)
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
        load(officer, make_list(officer, program), GOOD["national_id"])
        assert statuses(made) == ["pending", "pending", "pending"]
        disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        assert statuses(made) == ["held", "pending", "pending"]

    @pytest.mark.parametrize(
        ("first", "last", "is_held"), [(0, None, True), (-9, 0, True), (-9, -1, False), (1, None, False)]
    )
    def test_asks_whether_the_list_is_valid_today(
        self,
        program: Program,
        enrollment: Enrollment,
        excluded: Exclusion,
        officer: User,
        first: int,
        last: int | None,
        is_held: bool,
    ) -> None:
        ExclusionList.objects.update(
            valid_from=TODAY + datetime.timedelta(days=first),
            valid_to=None if last is None else TODAY + datetime.timedelta(days=last),
        )
        made = disbursements.submit(by=officer, disbursement_id=list_with(program, officer, enrollment).pk)
        assert (statuses(made)[0] == "held") is is_held

    def test_leaves_other_programs_lists_alone_and_asks_those_of_all(
        self, program: Program, enrollment: Enrollment, officer: User, outsider: User
    ) -> None:
        other = Program.objects.get(code="OTHER")
        load(outsider, make_list(outsider, other), GOOD["national_id"])
        made = disbursements.submit(by=officer, disbursement_id=list_with(program, officer, enrollment).pk)
        assert statuses(made) == ["pending", "pending", "pending"]
        keeper = factories.make_user("keeper", "payments.add_exclusionlist")
        load(keeper, make_list(keeper, None), GOOD["national_id"])
        screening.review(made.pk)
        assert statuses(made) == ["held", "pending", "pending"]

    def test_lets_go_when_the_list_ends(
        self, program: Program, enrollment: Enrollment, excluded: Exclusion, officer: User
    ) -> None:
        made = disbursements.submit(by=officer, disbursement_id=list_with(program, officer, enrollment).pk)
        assert statuses(made)[0] == "held"
        exclusions.end(by=officer, exclusion_list_id=excluded.exclusion_list_id, note="The file was wrong.")
        assert list(screening.lists_to_review(now=timezone.now(), most=9)) == [made.pk]
        screening.review(made.pk)
        assert statuses(made)[0] == "pending"


class TestAppeal:
    @pytest.fixture
    def released(
        self,
        program: Program,
        enrollment: Enrollment,
        excluded: Exclusion,
        officer: User,
        approver: User,
        releaser: User,
    ) -> Disbursement:
        factories.fund(program)
        return take_through(list_with(program, officer, enrollment), officer, approver, releaser)

    def test_that_is_lifted_lets_the_payment_go_on_and_stays_lifted(
        self,
        released: Disbursement,
        enrollment: Enrollment,
        excluded: Exclusion,
        officer: User,
        approver: User,
    ) -> None:
        appeal = lodge(officer, enrollment, excluded)
        assert appeal.due_at - appeal.lodged_at == datetime.timedelta(days=30)
        done = appeals.lift(by=approver, appeal_id=appeal.pk, note="Seen her papers.")
        assert (done.outcome, done.decided_by) == ("lifted", approver)
        assert statuses(released) == ["pending", "pending", "pending"]
        assert load(officer, excluded.exclusion_list, GOOD["national_id"]) == (1, 0)
        screening.review(released.pk)
        assert statuses(released) == ["pending", "pending", "pending"]

    def test_that_is_upheld_leaves_the_payment_held_until_it_is_withdrawn(
        self,
        released: Disbursement,
        enrollment: Enrollment,
        excluded: Exclusion,
        officer: User,
        approver: User,
    ) -> None:
        appeal = lodge(officer, enrollment, excluded)
        assert appeals.uphold(by=approver, appeal_id=appeal.pk, note="No papers.").outcome == "upheld"
        assert statuses(released) == ["held", "pending", "pending"]
        with pytest.raises(appeals.AppealDecided):
            appeals.lift(by=approver, appeal_id=appeal.pk, note="After all.")
        line = released.payments.get(line=1)
        assert holds.withdraw(by=approver, payment_id=line.pk, note="Not entitled.").status == "cancelled"

    def test_is_not_decided_by_who_put_the_entry_or_took_the_appeal(
        self, program: Program, enrollment: Enrollment, excluded: Exclusion, officer: User, second: User
    ) -> None:
        appeal = lodge(second, enrollment, excluded)
        for user in (officer, second):
            factories.change_role(program, user, "approver")
        for user in (officer, second):
            with pytest.raises(SamePersonTwice):
                appeals.lift(by=user, appeal_id=appeal.pk, note="Fine.")
            assert not appeals.may_decide(user, appeal)
        assert Exclusion.objects.get().lifted_at is None

    def test_is_kept_apart_by_the_database_too(
        self, enrollment: Enrollment, excluded: Exclusion, officer: User
    ) -> None:
        lodge(officer, enrollment, excluded)
        with pytest.raises(IntegrityError), transaction.atomic():
            Appeal.objects.update(outcome="lifted", decided_by=officer, decided_at=timezone.now())

    def test_of_a_list_of_all_programs_needs_a_permission(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User
    ) -> None:
        keeper = factories.make_user("keeper", "payments.add_exclusionlist")
        load(keeper, make_list(keeper, None), GOOD["national_id"])
        appeal = lodge(officer, enrollment, Exclusion.objects.get())
        with pytest.raises(Forbidden):
            appeals.lift(by=approver, appeal_id=appeal.pk, note="Fine.")
        judge = factories.make_user("judge", "payments.change_exclusionlist")
        with pytest.raises(NotFound):
            appeals.lift(by=judge, appeal_id=appeal.pk, note="Fine.")
        program.memberships.create(user=judge, role="auditor", granted_by=judge)
        assert appeals.lift(by=judge, appeal_id=appeal.pk, note="Fine.").outcome == "lifted"

    def test_is_one_at_a_time_and_against_an_entry_of_the_person(
        self, program: Program, enrollment: Enrollment, excluded: Exclusion, officer: User
    ) -> None:
        lodge(officer, enrollment, excluded)
        with pytest.raises(appeals.AppealOpen):
            lodge(officer, enrollment, excluded)
        with pytest.raises(appeals.NotExcluded):
            lodge(officer, factories.make_enrollment(program), excluded)
        assert Appeal.objects.count() == 1

    def test_keeps_its_words_encrypted(
        self, enrollment: Enrollment, excluded: Exclusion, officer: User
    ) -> None:
        lodge(officer, enrollment, excluded)
        with connection.cursor() as cursor:
            cursor.execute("SELECT words FROM payments_appeal")
            assert b"She lives" not in bytes(cursor.fetchone()[0])
        assert Appeal.objects.get().words == {"lodged_by": "Her son", "text": "She lives."}


@pytest.mark.django_db(transaction=True)
class TestTwoDecide:
    def test_at_once_and_one_of_them_comes_too_late(
        self, program: Program, officer: User, approver: User
    ) -> None:
        enrollment = people.enroll(by=officer, program_id=program.pk, **GOOD)
        load(officer, make_list(officer, program), GOOD["national_id"])
        appeal = lodge(officer, enrollment, Exclusion.objects.get())
        other = factories.make_member(program, "approver", "second-approver")
        _, loser = racing.race(
            lambda: appeals.lift(by=approver, appeal_id=appeal.pk, note="She lives."),
            lambda: appeals.uphold(by=other, appeal_id=appeal.pk, note="No papers."),
        )
        assert isinstance(loser.error, appeals.AppealDecided)
        assert Appeal.objects.get().outcome == "lifted"
