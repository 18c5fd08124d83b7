"""What people agreed to: versions that never change, and lines that wait while somebody has taken their word back."""

import pytest
from django.contrib.auth.models import User

from govpay.errors import InvalidInput, NotFound
from payments.models import Consent, ConsentText, Enrollment, Hold, Program
from payments.payout import rounds, screening
from payments.services import authority, consents, disbursements
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def enrollment(program: Program) -> Enrollment:
    return factories.make_enrollment(program)


@pytest.fixture
def text(program: Program, officer: User) -> ConsentText:
    return consents.publish(by=officer, program_id=program.pk, version="2026-1", text="We keep your name.")


def say(by: User, enrollment: Enrollment, is_given: bool, version: str = "2026-1") -> Consent:
    return consents.record(
        by=by, enrollment_id=enrollment.pk, version=version, is_given=is_given, note="Form 12."
    )


class TestPublish:
    def test_keeps_each_version_as_it_is(self, program: Program, officer: User, text: ConsentText) -> None:
        with pytest.raises(consents.ConsentTextExists):
            consents.publish(by=officer, program_id=program.pk, version=" 2026-1 ", text="We keep all.")
        assert ConsentText.objects.get().text == "We keep your name."

    @pytest.mark.parametrize(
        ("version", "words", "code"), [("", "We keep it.", "missing"), ("1", " ", "missing"), ("v" * 41, "x", "too_long")]
    )  # fmt: skip
    def test_refuses_what_is_empty_or_too_long(
        self, program: Program, officer: User, version: str, words: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            consents.publish(by=officer, program_id=program.pk, version=version, text=words)
        assert refused.value.details["errors"][0]["code"] == code

    def test_is_for_officers(self, program: Program, approver: User, outsider: User) -> None:
        with pytest.raises(authority.RoleMissing):
            consents.publish(by=approver, program_id=program.pk, version="1", text="x")
        with pytest.raises(NotFound):
            consents.publish(by=outsider, program_id=program.pk, version="1", text="x")


class TestRecord:
    def test_keeps_every_word_and_counts_the_newest(
        self, program: Program, enrollment: Enrollment, officer: User, text: ConsentText
    ) -> None:
        consents.publish(by=officer, program_id=program.pk, version="2026-2", text="We keep more.")
        say(officer, enrollment, True)
        say(officer, enrollment, True, "2026-2")
        say(officer, enrollment, False, "2026-2")
        say(officer, enrollment, True)
        found = Consent.objects.order_by("pk").values_list("text__version", "is_given")
        assert list(found) == [("2026-1", True), ("2026-2", True), ("2026-2", False), ("2026-1", True)]

    def test_refuses_what_was_said_last(
        self, enrollment: Enrollment, officer: User, text: ConsentText
    ) -> None:
        with pytest.raises(consents.ConsentUnchanged):
            say(officer, enrollment, False)
        say(officer, enrollment, True)
        with pytest.raises(consents.ConsentUnchanged):
            say(officer, enrollment, True)
        assert Consent.objects.count() == 1

    def test_refuses_a_version_that_the_program_does_not_have(
        self, enrollment: Enrollment, officer: User
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            say(officer, enrollment, True)
        assert refused.value.details["errors"][0]["code"] == "version_unknown"

    def test_taken_back_holds_the_persons_lines_until_it_is_given_again(
        self, program: Program, enrollment: Enrollment, officer: User, text: ConsentText
    ) -> None:
        say(officer, enrollment, True)
        say(officer, enrollment, False)
        made = factories.make_disbursement(program, officer, amounts_sat=[50_000, 60_000])
        made.payments.filter(line=1).update(beneficiary=enrollment.beneficiary)
        disbursements.submit(by=officer, disbursement_id=made.pk)
        statuses = made.payments.order_by("line").values_list("status", flat=True)
        assert list(statuses) == ["held", "pending"]
        assert Hold.objects.get().rule == "consent_withdrawn"
        say(officer, enrollment, True)
        assert [ring.ids for ring in rounds.lists_to_review()] == [{"disbursement_id": made.pk}]
        screening.review(made.pk)
        assert list(statuses.all()) == ["pending", "pending"]
