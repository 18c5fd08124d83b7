"""People through the API: one at a time, a file of them, and who may see their names."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from payments.models import Beneficiary, Destination, DestinationChange, Enrollment, Intake, Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.onchain.test_address import REFUSED_ON_REGTEST
from tests.payments.services import files

pytestmark = pytest.mark.django_db


def counts() -> tuple[int, int, int]:
    """How much is in the registry."""
    return Beneficiary.objects.count(), Enrollment.objects.count(), Destination.objects.count()


def upload(content: bytes, **fields: str) -> dict[str, Any]:
    """A form with a file."""
    return {"file": SimpleUploadedFile("people.csv", content), **fields}


class TestEnroll:
    def test_enrolls_one_person(self, api: Api, program: Program, officer: User) -> None:
        person = files.make_person(1)
        made = expect.ok(api(officer).post(f"/api/v1/programs/{program.pk}/enrollments/", person), 201)
        assert made["reference"] == person["reference"]
        assert made["address"] == person["address"]
        assert made["full_name"] == person["full_name"]
        assert made["phone"] == person["phone"]
        assert "national_id" not in made
        assert counts() == (1, 1, 1)

    @pytest.mark.parametrize(("address", "code"), REFUSED_ON_REGTEST)
    def test_names_the_rule_that_an_address_breaks(
        self, api: Api, program: Program, officer: User, address: str, code: str
    ) -> None:
        person = files.make_person(1, address=address)
        response = api(officer).post(f"/api/v1/programs/{program.pk}/enrollments/", person)
        if "\0" in address:
            # No text of the API may hold one, so that it never comes to the rules of addresses.
            expect.problem(response, 400, "validation_error")
        else:
            refused = expect.problem(response, 422, "invalid_input")
            assert [(e["column"], e["code"]) for e in refused["errors"]] == [("address", code)]
        assert counts() == (0, 0, 0)

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"reference": 5}, "reference", "invalid"),
            ({"full_name": "A\x00B"}, "full_name", "null_characters_not_allowed"),
            ({"full_name": None}, "full_name", "null"),
            ({"id": 3}, "id", "unknown_field"),
            ({"is_current": True}, "is_current", "unknown_field"),
        ],
    )
    def test_refuses_a_body_of_another_shape(
        self, api: Api, program: Program, officer: User, changes: dict[str, Any], field: str, code: str
    ) -> None:
        person = {**files.make_person(1), **changes}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/enrollments/", person)
        refused = expect.problem(response, 400, "validation_error")
        assert [(e["field"], e["code"]) for e in refused["errors"]] == [(field, code)]
        assert counts() == (0, 0, 0)

    def test_refuses_a_lone_surrogate(self, api: Api, program: Program, officer: User) -> None:
        raw = json.dumps(files.make_person(1, full_name="\ud800"))
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/enrollments/", raw, content_type="application/json"
        )
        expect.problem(response, 400, "validation_error")
        assert counts() == (0, 0, 0)

    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_refuses_everybody_but_officers(self, api: Api, program: Program, role: str) -> None:
        member = factories.make_member(program, role)
        response = api(member).post(f"/api/v1/programs/{program.pk}/enrollments/", files.make_person(1))
        expect.problem(response, 403, "role_missing")
        assert counts() == (0, 0, 0)


class TestList:
    @pytest.mark.parametrize(
        ("role", "name"),
        [("officer", "Person"), ("auditor", "Person"), ("approver", None), ("releaser", None)],
    )
    def test_shows_names_to_those_who_enroll_or_audit(
        self, api: Api, program: Program, role: str, name: str | None
    ) -> None:
        enrollment = factories.make_enrollment(program)
        member = factories.make_member(program, role)
        for address in (
            f"/api/v1/programs/{program.pk}/enrollments/",
            f"/api/v1/enrollments/{enrollment.pk}/",
        ):
            body = expect.ok(api(member).get(address))
            row = body["results"][0] if "results" in body else body
            assert row["reference"] == enrollment.reference
            assert (row["full_name"] or "None").split()[0] == str(name)
            assert row["phone"] == (None if name is None else "")

    def test_masks_names_and_phones_for_the_help_desk(self, api: Api, program: Program) -> None:
        enrollment = factories.make_enrollment(program)
        enrollment.beneficiary.personal = {"full_name": "Zainab Bibi", "phone": "+923001234567"}
        enrollment.beneficiary.save()
        helper = factories.make_member(program, "helpdesk")
        for address in (
            f"/api/v1/programs/{program.pk}/enrollments/",
            f"/api/v1/enrollments/{enrollment.pk}/",
        ):
            response = api(helper).get(address)
            body = expect.ok(response)
            row = body["results"][0] if "results" in body else body
            assert (row["full_name"], row["phone"]) == ("Z••••• B•••", "•••••67")
            assert b"Zainab" not in response.content

    def test_finds_people_by_reference(self, api: Api, program: Program, officer: User) -> None:
        for reference in ("PEN-1", "PEN-12", "SCH-1"):
            factories.make_enrollment(program, reference=reference)
        address = f"/api/v1/programs/{program.pk}/enrollments/"
        for query, found in [
            ("?reference=PEN-1", ["PEN-1"]),
            ("?search=PEN", ["PEN-12", "PEN-1"]),
            ("?search=%25", []),
        ]:
            rows = expect.ok(api(officer).get(address + query))["results"]
            assert [row["reference"] for row in rows] == found


class TestImport:
    def test_enrolls_a_file_of_people(self, api: Api, program: Program, officer: User) -> None:
        content = files.people_csv(*(files.make_person(n) for n in range(3)))
        made = expect.ok(
            api(officer).post(
                f"/api/v1/programs/{program.pk}/intakes/people/", upload(content), format="multipart"
            ),
            201,
        )
        assert (made["status"], made["kind"], made["filename"]) == ("loaded", "people", "people.csv")
        assert (made["rows_total"], made["rows_loaded"], made["rows_refused"]) == (3, 3, 0)
        assert made["disbursement_id"] is None
        assert counts() == (3, 3, 3)

    def test_keeps_the_record_of_a_refused_file_and_enrolls_nobody(
        self, api: Api, program: Program, officer: User
    ) -> None:
        content = files.people_csv(files.make_person(1), files.make_person(2, address="x"))
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/intakes/people/", upload(content), format="multipart"
        )
        refused = expect.problem(response, 422, "intake_refused")
        assert refused["errors"] == [
            {"row": 2, "column": "address", "code": "address_malformed", "message": "This is not an address."}
        ]
        assert (refused["rows_total"], refused["rows_loaded"], refused["rows_refused"]) == (2, 0, 1)
        intake = Intake.objects.get(pk=refused["intake_id"])
        assert (intake.status, intake.errors.count()) == ("refused", 1)
        assert counts() == (0, 0, 0)

    def test_loads_the_good_rows_when_asked_to(self, api: Api, program: Program, officer: User) -> None:
        content = files.people_csv(files.make_person(1), files.make_person(2, address="x"))
        made = expect.ok(
            api(officer).post(
                f"/api/v1/programs/{program.pk}/intakes/people/",
                upload(content, accept_partial="true"),
                format="multipart",
            ),
            201,
        )
        assert (made["rows_total"], made["rows_loaded"], made["rows_refused"]) == (2, 1, 1)
        assert counts() == (1, 1, 1)

    def test_shows_the_first_hundred_errors_and_all_of_them_in_pages(
        self, api: Api, program: Program, officer: User
    ) -> None:
        content = files.people_csv(*(files.make_person(n, address="x") for n in range(120)))
        client = api(officer)
        response = client.post(
            f"/api/v1/programs/{program.pk}/intakes/people/", upload(content), format="multipart"
        )
        refused = expect.problem(response, 422, "intake_refused")
        assert [e["row"] for e in refused["errors"]] == list(range(1, 101))
        address, seen = f"/api/v1/intakes/{refused['intake_id']}/errors/?page_size=50", []
        while address:
            page = expect.ok(client.get(address))
            seen += [e["row"] for e in page["results"]]
            address = page["next"]
        assert seen == list(range(1, 121))

    @pytest.mark.parametrize(
        ("form", "status", "code"),
        [
            ({}, 400, "validation_error"),
            ({"file": "text"}, 400, "validation_error"),
            ({"file": SimpleUploadedFile("a", b"x"), "status": "loaded"}, 400, "validation_error"),
            ({"file": SimpleUploadedFile("a", b"")}, 422, "intake_refused"),
            ({"file": [SimpleUploadedFile("a", b"x"), SimpleUploadedFile("b", b"y")]}, 400, "parse_error"),
        ],
    )
    def test_refuses_forms_of_another_shape(
        self, api: Api, program: Program, officer: User, form: dict[str, Any], status: int, code: str
    ) -> None:
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/intakes/people/", form, format="multipart"
        )
        expect.problem(response, status, code)
        assert counts() == (0, 0, 0)

    def test_refuses_json(self, api: Api, program: Program, officer: User) -> None:
        response = api(officer).post(f"/api/v1/programs/{program.pk}/intakes/people/", {"file": "x"})
        expect.problem(response, 415, "unsupported_media_type")

    def test_refuses_a_file_above_the_limit(
        self, api: Api, program: Program, officer: User, settings: Any
    ) -> None:
        settings.GOVPAY_UPLOAD_MAX_BYTES = 1_000
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/intakes/people/", upload(b"x" * 1_001), format="multipart"
        )
        expect.problem(response, 413, "file_too_large")
        assert Intake.objects.count() == 0


class TestIntakes:
    def test_lists_and_shows_files(self, api: Api, furnished: dict[str, Any], auditor: User) -> None:
        intake, program = furnished["intake"], furnished["program"]
        address = f"/api/v1/programs/{program.pk}/intakes/"
        rows = expect.ok(api(auditor).get(address))["results"]
        assert [(r["kind"], r["status"], r["disbursement_id"]) for r in rows] == [
            ("people", "refused", None),
            ("people", "refused", None),
            ("lines", "loaded", furnished["disbursement"].pk),
        ]
        assert len(expect.ok(api(auditor).get(f"{address}?kind=lines&status=refused"))["results"]) == 0
        shown = expect.ok(api(auditor).get(f"/api/v1/intakes/{intake.pk}/"))
        assert shown["sha256"] == bytes(intake.sha256).hex()

    def test_gives_errors_as_a_file_without_formulas(
        self, api: Api, furnished: dict[str, Any], officer: User
    ) -> None:
        response: Any = api(officer).get(f"/api/v1/intakes/{furnished['intake'].pk}/errors.csv")
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert response["Content-Disposition"].startswith("attachment;")
        assert response.getvalue().decode() == (
            "row,column,code,message\r\n"
            "1,address,address_mainnet,'=Wrong in row 1.\r\n"
            "2,address,address_mainnet,'=Wrong in row 2.\r\n"
        )


class TestDestinationChanges:
    def test_are_proposed_by_one_and_confirmed_by_another(
        self, api: Api, program: Program, officer: User, approver: User
    ) -> None:
        enrollment = factories.make_enrollment(program)
        address = files.make_address(7)
        body = {"address": address.upper(), "note": "A new telephone."}
        path = f"/api/v1/enrollments/{enrollment.pk}/destination-changes/"
        made = expect.ok(api(officer).post(path, body), 201)
        assert (made["address"], made["outcome"], made["waits_for_me"]) == (address, "open", False)
        assert made["reference"] == enrollment.reference
        one = f"/api/v1/destination-changes/{made['id']}/"
        expect.problem(api(officer).post(f"{one}confirm/", {"note": "Me."}), 403, "same_person_twice")
        assert expect.ok(api(approver).get(one))["waits_for_me"] is True
        done = expect.ok(api(approver).post(f"{one}confirm/", {"note": "Called back."}))
        assert (done["outcome"], done["decided_by"]) == ("confirmed", approver.username)
        shown = expect.ok(api(officer).get(f"/api/v1/enrollments/{enrollment.pk}/"))
        assert shown["address"] == address
        listed = f"/api/v1/programs/{program.pk}/destination-changes/"
        assert [r["id"] for r in expect.ok(api(officer).get(f"{listed}?outcome=confirmed"))["results"]] == [
            made["id"]
        ]
        assert expect.ok(api(officer).get(f"{listed}?outcome=open"))["results"] == []

    def test_refuse_somebody_elses_address(self, api: Api, program: Program, officer: User) -> None:
        address = files.make_address(7)
        expect.ok(
            api(officer).post(
                f"/api/v1/programs/{program.pk}/enrollments/", files.make_person(7, address=address)
            ),
            201,
        )
        enrollment = factories.make_enrollment(program)
        path = f"/api/v1/enrollments/{enrollment.pk}/destination-changes/"
        refused = expect.problem(
            api(officer).post(path, {"address": address, "note": "Lost."}), 422, "invalid_input"
        )
        assert refused["errors"][0]["code"] == "destination_shared"
        assert DestinationChange.objects.count() == 0

    def test_refuse_approvers(self, api: Api, program: Program, approver: User) -> None:
        enrollment = factories.make_enrollment(program)
        body = {"address": files.make_address(7), "note": "Lost."}
        response = api(approver).post(f"/api/v1/enrollments/{enrollment.pk}/destination-changes/", body)
        expect.problem(response, 403, "role_missing")
        assert DestinationChange.objects.count() == 0


class TestHolds:
    def test_say_why_a_line_waits(self, api: Api, program: Program, officer: User, approver: User) -> None:
        draft = factories.make_disbursement(program, officer)
        line = draft.payments.get(line=2)
        Destination.objects.filter(beneficiary=line.beneficiary_id).update(changed_at=timezone.now())
        expect.ok(api(officer).post(f"/api/v1/disbursements/{draft.pk}/submit/", {}))
        (hold,) = expect.ok(api(officer).get(f"/api/v1/payments/{line.pk}/holds/"))["results"]
        assert (hold["rule"], hold["placed_by"], hold["ended_at"]) == ("destination_cooling", None, None)
        of_list = f"/api/v1/disbursements/{draft.pk}/holds/"
        for query, count in (("?is_open=true", 1), ("?is_open=false", 0), ("?rule=officer", 0)):
            assert len(expect.ok(api(officer).get(of_list + query))["results"]) == count
        refused = api(approver).post(f"/api/v1/payments/{line.pk}/resume/", {"note": "Hurry."})
        assert expect.problem(refused, 409, "hold_stands")["details"]["rules"] == ["destination_cooling"]
