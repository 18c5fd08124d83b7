"""Lists through the API: make, submit, approve, release, and everything that is refused on the way."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from payments.models import Cycle, Disbursement, Intake, Payment, Program, StatusChange
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

CYCLE = {"period": "2026-12", "purpose": "pension"}


def lines_of(program: Program, *amounts: Any) -> list[dict[str, Any]]:
    """One line an amount, each for a new person."""
    return [
        {"reference": factories.make_enrollment(program).reference, "amount_sat": amount}
        for amount in amounts
    ]


def url(disbursement: Disbursement, verb: str = "") -> str:
    """The address of a list or of a verb on it."""
    return f"/api/v1/disbursements/{disbursement.pk}/" + (f"{verb}/" if verb else "")


def hash_of(disbursement: Disbursement) -> str:
    """The manifest as an approver sees it."""
    return bytes(disbursement.manifest_hash or b"").hex()


def status_of(disbursement: Disbursement) -> str:
    """The status in the database."""
    return Disbursement.objects.values_list("status", flat=True).get(pk=disbursement.pk)


class TestCreate:
    def test_makes_a_draft_from_json_lines(self, api: Api, program: Program, officer: User) -> None:
        body = {
            **CYCLE,
            "expected_count": 2,
            "expected_total_sat": 110_000,
            "lines": lines_of(program, 50_000, 60_000),
        }
        made = expect.ok(api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body), 201)
        assert made["status"] == "draft"
        assert made["payment_count"] == 2
        assert made["total_sat"] == 110_000
        assert made["period"] == "2026-12"
        assert made["made_by"] == officer.username
        assert made["manifest_hash"] is None
        assert made["progress"] == {
            "payments": [{"status": "pending", "count": 2, "amount_sat": 110_000}],
            "payouts": [],
            "unsealed_count": 2,
        }
        assert list(Payment.objects.order_by("line").values_list("amount_sat", flat=True)) == [50_000, 60_000]

    def test_makes_a_draft_from_a_file(self, api: Api, program: Program, officer: User) -> None:
        reference = factories.make_enrollment(program).reference
        file = SimpleUploadedFile("list.csv", f"reference,amount_sat\n{reference},70000\n".encode())
        form = {**CYCLE, "expected_count": "1", "expected_total_sat": "70000", "file": file}
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", form, format="multipart"
        )
        made = expect.ok(response, 201)
        assert made["total_sat"] == 70_000
        assert Intake.objects.get(pk=made["intake_id"]).filename == "list.csv"

    def test_keeps_the_record_of_a_refused_list_and_makes_nothing(
        self, api: Api, program: Program, officer: User
    ) -> None:
        lines = lines_of(program, 50_000, 60_000)
        lines[1]["reference"] = "NOBODY"
        body = {**CYCLE, "expected_count": 2, "expected_total_sat": 110_000, "lines": lines}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 422, "intake_refused")
        assert (refused["rows_total"], refused["rows_loaded"], refused["rows_refused"]) == (2, 0, 1)
        assert [(e["row"], e["column"], e["code"]) for e in refused["errors"]] == [
            (2, "reference", "reference_unknown")
        ]
        intake = Intake.objects.get(pk=refused["intake_id"])
        assert (intake.status, intake.errors.count()) == ("refused", 1)
        assert (Disbursement.objects.count(), Payment.objects.count(), Cycle.objects.count()) == (0, 0, 0)

    def test_refuses_control_totals_that_disagree(self, api: Api, program: Program, officer: User) -> None:
        lines = lines_of(program, 50_000, 60_000)
        body = {**CYCLE, "expected_count": 3, "expected_total_sat": 110_001, "lines": lines}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 422, "intake_refused")
        assert {e["code"] for e in refused["errors"]} == {"control_count", "control_total"}
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize(
        ("amount", "code"),
        [
            ("-1", "amount_negative"),
            ("0", "amount_zero"),
            ("0.000000001", "amount_malformed"),
            ("1e-8", "amount_malformed"),
            ("100.5", "amount_malformed"),
            ("1e3", "amount_malformed"),
            ("2100000000000001", "amount_too_large"),
            ("9223372036854775808", "amount_too_large"),
            ("true", "amount_malformed"),
            ("null", "amount_missing"),
            ("[]", "amount_malformed"),
            ("{}", "amount_malformed"),
            ('""', "amount_missing"),
            ('"1_000"', "amount_malformed"),
            ('" 1 "', "amount_malformed"),
            ('"\uff11\uff10\uff10\uff10"', "amount_malformed"),
            ('"\u0663\u0660\u0660"', "amount_malformed"),
            ('"1,5"', "amount_malformed"),
            ('"1.5"', "amount_fraction"),
            ('"$1"', "amount_malformed"),
            ('"0x10"', "amount_malformed"),
            ('"NaN"', "amount_malformed"),
            ('"-0"', "amount_negative"),
            ('"1e400"', "amount_malformed"),
        ],
    )
    def test_names_the_rule_that_an_amount_breaks(
        self, api: Api, program: Program, officer: User, amount: str, code: str
    ) -> None:
        reference = factories.make_enrollment(program).reference
        raw = (
            '{"period": "2026-12", "purpose": "pension", "expected_count": 1, "expected_total_sat": 1,'
            f' "lines": [{{"reference": "{reference}", "amount_sat": {amount}}}]}}'
        )
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", raw.encode(), content_type="application/json"
        )
        refused = expect.problem(response, 422, "intake_refused")
        assert (refused["errors"][-1]["row"], refused["errors"][-1]["code"]) == (1, code)
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "-0x1", "01"])
    def test_refuses_what_is_no_json_number(
        self, api: Api, program: Program, officer: User, amount: str
    ) -> None:
        raw = f'{{"expected_total_sat": {amount}}}'.encode()
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", raw, content_type="application/json"
        )
        expect.problem(response, 400, "parse_error")
        assert Intake.objects.count() == 0

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"status": "approved"}, "status", "unknown_field"),
            ({"approved_by": 1}, "approved_by", "unknown_field"),
            ({"expected_total_sat": 1.5}, "expected_total_sat", "amount_malformed"),
            ({"expected_total_sat": True}, "expected_total_sat", "amount_malformed"),
            ({"expected_total_sat": "1_000"}, "expected_total_sat", "amount_malformed"),
            ({"expected_total_sat": -1}, "expected_total_sat", "amount_negative"),
            ({"expected_count": True}, "expected_count", "invalid"),
            ({"expected_count": "²"}, "expected_count", "invalid"),
            ({"expected_count": 10**30}, "expected_count", "max_value"),
            ({"lines": {"0": {}}}, "lines", "invalid"),
            ({"period": 202612}, "period", "invalid"),
            ({"period": "2026\x00"}, "period", "null_characters_not_allowed"),
        ],
    )
    def test_refuses_a_body_of_another_shape(
        self, api: Api, program: Program, officer: User, changes: dict[str, Any], field: str, code: str
    ) -> None:
        body = {**CYCLE, "expected_count": 0, "expected_total_sat": 0, "lines": [], **changes}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 400, "validation_error")
        assert [(e["field"], e["code"]) for e in refused["errors"]] == [(field, code)]
        assert Intake.objects.count() == 0

    def test_refuses_a_hidden_key_in_a_line(self, api: Api, program: Program, officer: User) -> None:
        lines = lines_of(program, 50_000)
        lines[0]["approved_by"] = 1
        body = {**CYCLE, "expected_count": 1, "expected_total_sat": 50_000, "lines": lines}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        assert expect.problem(response, 422, "intake_refused")["errors"][0]["code"] == "row_width"
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_refuses_everybody_but_officers(self, api: Api, program: Program, role: str) -> None:
        member = factories.make_member(program, role)
        body = {**CYCLE, "expected_count": 0, "expected_total_sat": 0, "lines": []}
        response = api(member).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 403, "role_missing")
        assert refused["details"] == {"roles": ["officer"]}
        assert Intake.objects.count() == 0


class TestVerbs:
    def test_three_people_take_a_list_to_its_release(
        self, api: Api, draft: Disbursement, officer: User, approver: User, releaser: User
    ) -> None:
        submitted = expect.ok(api(officer).post(url(draft, "submit"), {}))
        assert submitted["status"] == "submitted"
        agreed = {"manifest_hash": submitted["manifest_hash"]}
        approved = expect.ok(api(approver).post(url(draft, "approve"), agreed))
        assert (approved["status"], approved["approved_by"]) == ("approved", approver.username)
        released = expect.ok(api(releaser).post(url(draft, "release"), agreed))
        assert (released["status"], released["released_by"]) == ("released", releaser.username)
        history = expect.ok(api(officer).get(url(draft, "history")))["results"]
        assert [(c["old"], c["new"], c["actor"]) for c in history] == [
            ("draft", "submitted", officer.username),
            ("submitted", "approved", approver.username),
            ("approved", "released", releaser.username),
        ]

    def test_accepts_a_submit_without_a_body(self, api: Api, draft: Disbursement, officer: User) -> None:
        assert expect.ok(api(officer).post(url(draft, "submit")))["status"] == "submitted"

    def test_refuses_the_maker_as_approver(
        self, api: Api, program: Program, submitted: Disbursement, officer: User
    ) -> None:
        program.memberships.create(user=officer, role="approver", granted_by=officer)
        body = {"manifest_hash": hash_of(submitted)}
        expect.problem(api(officer).post(url(submitted, "approve"), body), 403, "same_person_twice")
        assert status_of(submitted) == "submitted"

    def test_refuses_the_approver_as_releaser(
        self, api: Api, program: Program, approved: Disbursement, approver: User
    ) -> None:
        program.memberships.create(user=approver, role="releaser", granted_by=approver)
        body = {"manifest_hash": hash_of(approved)}
        expect.problem(api(approver).post(url(approved, "release"), body), 403, "same_person_twice")
        assert status_of(approved) == "approved"

    @pytest.mark.parametrize(("verb", "start"), [("approve", "submitted"), ("release", "approved")])
    def test_refuses_another_manifest(
        self, api: Api, approved: Disbursement, approver: User, releaser: User, verb: str, start: str
    ) -> None:
        Disbursement.objects.filter(pk=approved.pk).update(status=start)
        by = approver if verb == "approve" else releaser
        response = api(by).post(url(approved, verb), {"manifest_hash": "ab" * 32})
        refused = expect.problem(response, 409, "manifest_changed")
        assert refused["details"] == {"given": "ab" * 32, "computed": hash_of(approved)}
        assert status_of(approved) == start

    @pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "AB" * 33, None, 5, ["ab" * 32]])
    def test_refuses_what_is_no_hash(
        self, api: Api, submitted: Disbursement, approver: User, text: Any
    ) -> None:
        response = api(approver).post(url(submitted, "approve"), {"manifest_hash": text})
        expect.problem(response, 400, "validation_error")
        assert status_of(submitted) == "submitted"

    def test_says_in_which_status_the_list_is(self, api: Api, draft: Disbursement, releaser: User) -> None:
        response = api(releaser).post(url(draft, "release"), {"manifest_hash": "ab" * 32})
        refused = expect.problem(response, 409, "status_conflict")
        assert refused["details"] == {"subject": "disbursement", "status": "draft", "needed": "approved"}
        assert status_of(draft) == "draft"

    def test_says_how_much_is_missing(
        self, api: Api, program: Program, officer: User, approver: User
    ) -> None:
        made = factories.make_disbursement(program, officer)
        shown = expect.ok(api(officer).post(url(made, "submit")))
        response = api(approver).post(url(made, "approve"), {"manifest_hash": shown["manifest_hash"]})
        refused = expect.problem(response, 409, "insufficient_funds")
        assert refused["details"] == {
            "needed_sat": 180_000 + shown["fee_reserved_sat"],
            "available_sat": 0,
            "booked_sat": 0,
            "reserved_sat": 0,
        }
        assert status_of(made) == "submitted"

    @pytest.mark.parametrize(
        ("verb", "role"),
        [
            *(("submit", role) for role in ("approver", "releaser", "auditor")),
            *(("approve", role) for role in ("officer", "releaser", "auditor")),
            *(("reject", role) for role in ("officer", "releaser", "auditor")),
            *(("release", role) for role in ("officer", "approver", "auditor")),
            ("cancel", "auditor"),
        ],
    )
    def test_needs_the_role(
        self, api: Api, program: Program, submitted: Disbursement, verb: str, role: str
    ) -> None:
        body = {
            "submit": {},
            "approve": {"manifest_hash": hash_of(submitted)},
            "reject": {"note": "No."},
            "release": {"manifest_hash": hash_of(submitted)},
            "cancel": {"note": "No."},
        }[verb]
        member = factories.make_member(program, role, "somebody else")
        expect.problem(api(member).post(url(submitted, verb), body), 403, "role_missing")
        assert status_of(submitted) == "submitted"
        assert StatusChange.objects.count() == 1

    def test_rejects_with_a_reason(self, api: Api, submitted: Disbursement, approver: User) -> None:
        shown = expect.ok(api(approver).post(url(submitted, "reject"), {"note": "Two people moved."}))
        assert shown["status"] == "rejected"
        assert shown["progress"]["payments"] == [{"status": "cancelled", "count": 3, "amount_sat": 180_000}]
        history = expect.ok(api(approver).get(url(submitted, "history")))["results"]
        assert history[-1]["note"] == "Two people moved."

    @pytest.mark.parametrize("verb", ["reject", "cancel"])
    def test_refuses_an_empty_reason(
        self, api: Api, submitted: Disbursement, officer: User, approver: User, verb: str
    ) -> None:
        by = approver if verb == "reject" else officer
        response = api(by).post(url(submitted, verb), {"note": "  "})
        assert expect.problem(response, 422, "invalid_input")["errors"][0]["column"] == "note"
        assert status_of(submitted) == "submitted"

    def test_cancels_an_approved_list(self, api: Api, approved: Disbursement, releaser: User) -> None:
        shown = expect.ok(api(releaser).post(url(approved, "cancel"), {"note": "Wrong month."}))
        assert shown["status"] == "cancelled"


class TestRead:
    def test_shows_the_list_with_payments_and_payouts(
        self, api: Api, furnished: dict[str, Any], auditor: User
    ) -> None:
        disbursement, payout = furnished["disbursement"], furnished["payout"]
        shown = expect.ok(api(auditor).get(url(disbursement)))
        assert shown["manifest_hash"] == hash_of(disbursement)
        assert shown["progress"] == {
            "payments": [{"status": "pending", "count": 3, "amount_sat": 180_000}],
            "payouts": [{"status": "sent", "count": 1, "amount_sat": 110_000}],
            "unsealed_count": 1,
        }
        payments = expect.ok(api(auditor).get(url(disbursement, "payments")))["results"]
        assert [(p["line"], p["amount_sat"], p["payout_status"], p["txid"], p["vout"]) for p in payments] == [
            (1, 50_000, "sent", payout.txid, 0),
            (2, 60_000, "sent", payout.txid, 1),
            (3, 70_000, None, None, None),
        ]
        payouts = expect.ok(api(auditor).get(url(disbursement, "payouts")))["results"]
        assert [(p["id"], p["payment_count"], p["confirmations"]) for p in payouts] == [(payout.pk, 2, 0)]

    def test_lists_and_filters(self, api: Api, program: Program, draft: Disbursement, officer: User) -> None:
        address = f"/api/v1/programs/{program.pk}/disbursements/"
        for query, count in [("", 1), ("?status=draft", 1), ("?status=released", 0), ("?period=2026-11", 1)]:
            assert len(expect.ok(api(officer).get(address + query))["results"]) == count

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("status=nothing", "invalid_choice"),
            ("stauts=held", "unknown_parameter"),
            ("page_size=0", "page_size_invalid"),
            ("page_size=1e9", "page_size_invalid"),
            ("page_size=-1", "page_size_invalid"),
            ("page_size=501", "page_size_invalid"),
            ("cursor=garbage", "cursor_invalid"),
            ("cursor=", "cursor_invalid"),
            ("cursor=cD1hYmM=", "cursor_invalid"),
            ("cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "cursor_invalid"),
            ("payout=99999999999999999999", "max_value"),
            ("payout=-1", "min_value"),
            ("payout=NaN", "invalid"),
            ("reference=%00", "null_characters_not_allowed"),
        ],
    )
    def test_refuses_queries_that_make_no_sense(
        self, api: Api, draft: Disbursement, officer: User, query: str, code: str
    ) -> None:
        refused = expect.problem(
            api(officer).get(f"{url(draft, 'payments')}?{query}"), 400, "validation_error"
        )
        assert refused["errors"][0]["code"] == code

    def test_pages_through_all_lines_in_order(self, api: Api, draft: Disbursement, officer: User) -> None:
        address, seen = f"{url(draft, 'payments')}?page_size=2", []
        while address:
            page = expect.ok(api(officer).get(address))
            seen += [p["line"] for p in page["results"]]
            address = page["next"]
        assert seen == [1, 2, 3]

    def test_finds_the_payments_of_a_person(self, api: Api, furnished: dict[str, Any], officer: User) -> None:
        address = (
            f"{url(furnished['disbursement'], 'payments')}?reference={furnished['enrollment'].reference}"
        )
        assert [p["line"] for p in expect.ok(api(officer).get(address))["results"]] == [1]
        payout = f"{url(furnished['disbursement'], 'payments')}?payout={furnished['payout'].pk}"
        assert [p["line"] for p in expect.ok(api(officer).get(payout))["results"]] == [1, 2]
