"""Many things in one request: all or nothing, each refusal by its row, and as many statements for a hundred as for two."""

from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Consent, Disbursement, Enrollment, Hold, Payment, Program, StatusChange
from payments.onchain import address, network
from payments.services import consents, holds
from tests import factories, racing
from tests.payments.admin import scenes
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def person(number: int, **columns: str) -> dict[str, str]:
    """Somebody whom nobody knows yet."""
    paid_at = address.address_from_script(factories.make_script(), network.current())
    return {
        "reference": f"B-{number:05}",
        "national_id": f"35202-{number:07}-1",
        "full_name": f"Person {number}",
        "phone": "",
        "address": paid_at,
    } | columns


def people_of(program: Program) -> str:
    return f"/api/v1/programs/{program.pk}/enrollments/bulk/"


def hold_of(row: Disbursement) -> str:
    return f"/api/v1/disbursements/{row.pk}/payments/hold/"


def ids_of(row: Disbursement) -> list[int]:
    return list(Payment.objects.filter(disbursement=row).order_by("line").values_list("pk", flat=True))


class TestEnroll:
    def test_enrolls_all_in_the_order_of_the_request(self, api: Api, program: Program, officer: User) -> None:
        body = {"people": [person(3), person(1), person(2)]}
        made = expect.ok(api(officer).post(people_of(program), body), 201)
        assert made["count"] == 3
        assert [row["reference"] for row in made["enrollments"]] == ["B-00003", "B-00001", "B-00002"]
        found = dict(Enrollment.objects.values_list("pk", "reference"))
        assert {row["id"]: row["reference"] for row in made["enrollments"]} == found

    def test_says_at_once_what_they_agreed_to(self, api: Api, program: Program, officer: User) -> None:
        consents.publish(by=officer, program_id=program.pk, version="2026-1", text="We keep your name.")
        agreed = {"consent_version": "2026-1", "consent_date": "2026-11-02"}
        body = {"people": [person(1, **agreed), person(2)]}
        expect.ok(api(officer).post(people_of(program), body), 201)
        expect.ok(api(officer).post(f"/api/v1/programs/{program.pk}/enrollments/", person(3, **agreed)), 201)
        said = Consent.objects.order_by("pk").values_list("beneficiary__enrollments__reference", "said_date")
        assert list(said) == [("B-00001", date(2026, 11, 2)), ("B-00003", date(2026, 11, 2))]
        body = {"people": [person(4), person(5, **agreed | {"consent_version": "2026-2"})]}
        found = expect.problem(api(officer).post(people_of(program), body), 422, "invalid_input")
        assert [(row["row"], row["column"], row["code"]) for row in found["errors"]] == [
            (2, "consent_version", "consent_version_unknown")
        ]
        assert Enrollment.objects.count() == 3

    def test_refuses_all_for_one_and_names_every_row_and_rule(
        self, api: Api, program: Program, officer: User
    ) -> None:
        before = Enrollment.objects.count()
        twice = person(2)
        bad = [
            person(1),
            twice,
            twice | {"reference": "B-9"},
            person(4, address="nowhere"),
            person(5, reference="=1"),
        ]
        found = expect.problem(api(officer).post(people_of(program), {"people": bad}), 422, "invalid_input")
        assert [(row["row"], row["column"], row["code"]) for row in found["errors"]] == [
            (3, "national_id", "national_id_duplicate"),
            (4, "address", "address_malformed"),
            (5, "reference", "reference_malformed"),
        ]
        assert Enrollment.objects.count() == before

    @pytest.mark.parametrize(
        "people",
        [[], [{}], [1], "x", [person(1, phone="1") | {"is_staff": True}], [person(n) for n in range(1_001)]],
    )
    def test_refuses_a_body_of_another_shape(
        self, api: Api, program: Program, officer: User, people: Any
    ) -> None:
        expect.problem(api(officer).post(people_of(program), {"people": people}), 400, "validation_error")
        assert not Enrollment.objects.exists()

    def test_takes_a_thousand_with_as_many_statements_as_two(
        self, api: Api, program: Program, officer: User
    ) -> None:
        client, counts = api(officer), []
        for start, many in ((10, 2), (1_000, 1_000)):
            body = {"people": [person(start + n) for n in range(many)]}
            with CaptureQueriesContext(connection) as queries:
                assert expect.ok(client.post(people_of(program), body), 201)["count"] == many
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_is_repeated_safely(self, api: Api, program: Program, officer: User) -> None:
        body, key = {"people": [person(1)]}, {"HTTP_IDEMPOTENCY_KEY": "people-1"}
        client = api(officer)
        first, again = (expect.ok(client.post(people_of(program), body, **key), 201) for _ in range(2))
        assert first == again
        assert Enrollment.objects.count() == 1
        other = {"people": [person(2)]}
        expect.problem(client.post(people_of(program), other, **key), 422, "idempotency_key_reused")
        assert Enrollment.objects.count() == 1

    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_is_for_officers(self, api: Api, program: Program, role: str) -> None:
        client = api(factories.make_member(program, role, "other"))
        expect.problem(client.post(people_of(program), {"people": [person(1)]}), 403, "role_missing")
        assert not Enrollment.objects.exists()


class TestHold:
    def test_holds_all_with_a_reason_each(self, api: Api, draft: Disbursement, officer: User) -> None:
        body = {"payments": ids_of(draft)[:2], "note": "The office looks."}
        assert expect.ok(api(officer).post(hold_of(draft), body)) == {"count": 2}
        statuses = (
            Payment.objects.filter(disbursement=draft).order_by("line").values_list("status", flat=True)
        )
        assert list(statuses) == ["held", "held", "pending"]
        assert list(Hold.objects.order_by("payment").values_list("payment", "note", "placed_by")) == [
            (pk, "The office looks.", officer.pk) for pk in ids_of(draft)[:2]
        ]
        said = StatusChange.objects.filter(subject="payment").order_by("subject_id")
        assert list(said.values_list("subject_id", "new", "actor")) == [
            (pk, "held", officer.pk) for pk in ids_of(draft)[:2]
        ]

    def test_refuses_all_for_one_and_names_every_row(
        self, api: Api, furnished: dict[str, Any], officer: User, approver: User
    ) -> None:
        """The first two of the list's three are in a payout."""
        row = furnished["disbursement"]
        sealed, _, free = ids_of(row)
        held = factories.make_disbursement(row.program, officer, period="2026-12")
        elsewhere = ids_of(held)[0]
        body = {"payments": [free, sealed, elsewhere, free, 2**62], "note": "n"}
        found = expect.problem(api(officer).post(hold_of(row), body), 422, "invalid_input")
        assert [(error["row"], error["code"]) for error in found["errors"]] == [
            (2, "payment_sealed"),
            (3, "payment_unknown"),
            (4, "payment_repeated"),
            (5, "payment_unknown"),
        ]
        assert Payment.objects.get(pk=free).status == "pending"
        holds.hold(by=officer, payment_id=free, note="n")
        standing = Hold.objects.count()
        found = expect.problem(
            api(approver).post(hold_of(row), {"payments": [free], "note": "n"}), 422, "invalid_input"
        )
        assert found["errors"][0]["code"] == "status_conflict"
        assert Hold.objects.count() == standing

    def test_holds_a_hundred_with_as_many_statements_as_two(
        self, api: Api, program: Program, officer: User
    ) -> None:
        client, counts = api(officer), []
        for period, many in (("2026-01", 2), ("2026-02", 100)):
            row = factories.make_disbursement(program, officer, amounts_sat=[1_000] * many, period=period)
            with CaptureQueriesContext(connection) as queries:
                body = {"payments": ids_of(row), "note": "n"}
                assert expect.ok(client.post(hold_of(row), body)) == {"count": many}
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_happens_to_what_was_seen_or_to_nothing(
        self, api: Api, draft: Disbursement, officer: User
    ) -> None:
        client, address_ = api(officer), f"/api/v1/disbursements/{draft.pk}/"
        seen = client.get(address_)["ETag"]
        Disbursement.objects.filter(pk=draft.pk).update(is_urgent=True)
        body = {"payments": ids_of(draft)[:1], "note": "n"}
        answer = client.post(hold_of(draft), body, HTTP_IF_MATCH=seen)
        expect.problem(answer, 412, "version_changed")
        assert not Hold.objects.exists()

    def test_is_for_officers_approvers_and_releasers(
        self, api: Api, draft: Disbursement, auditor: User
    ) -> None:
        body = {"payments": ids_of(draft)[:1], "note": "n"}
        expect.problem(api(auditor).post(hold_of(draft), body), 403, "role_missing")
        assert not Hold.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_of_two_who_hold_the_same_at_once_one_is_told(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        row = scenes.approved(program, officer, approver) if factories.fund(program, 10_000_000) else None
        assert row is not None
        pair = ids_of(row)[:2]
        won, racer = racing.race(
            lambda: holds.hold_many(by=officer, disbursement_id=row.pk, payment_ids=pair, note="a"),
            lambda: holds.hold_many(by=releaser, disbursement_id=row.pk, payment_ids=pair[::-1], note="b"),
        )
        assert won == 2
        assert getattr(racer.error, "code", "") == "invalid_input"
        assert Hold.objects.count() == 2


class TestLines:
    def test_of_a_list_come_with_as_many_statements_for_a_hundred_as_for_two(
        self, api: Api, program: Program, officer: User
    ) -> None:
        client, counts = api(officer), []
        for period, many in (("2026-01", 2), ("2026-02", 100)):
            references = [factories.make_enrollment(program).reference for _ in range(many)]
            body = {
                "period": period,
                "purpose": "pension",
                "expected_count": many,
                "expected_total_sat": many * 1_000,
                "lines": [{"reference": reference, "amount_sat": 1_000} for reference in references],
            }
            with CaptureQueriesContext(connection) as queries:
                expect.ok(client.post(f"/api/v1/programs/{program.pk}/disbursements/", body), 201)
            counts.append(len(queries))
        assert counts[0] == counts[1]
