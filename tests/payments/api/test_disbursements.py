"""A list between its officers through the API, and reading it."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Disbursement, Program, StatusChange
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def url(disbursement: Disbursement, verb: str = "") -> str:
    """The address of a list or of a verb on it."""
    return f"/api/v1/disbursements/{disbursement.pk}/" + (f"{verb}/" if verb else "")


def hash_of(disbursement: Disbursement) -> str:
    """The manifest as an approver sees it."""
    return bytes(disbursement.manifest_hash or b"").hex()


def status_of(disbursement: Disbursement) -> str:
    """The status in the database."""
    return Disbursement.objects.values_list("status", flat=True).get(pk=disbursement.pk)


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
        factories.change_role(program, officer, "approver")
        body = {"manifest_hash": hash_of(submitted)}
        expect.problem(api(officer).post(url(submitted, "approve"), body), 403, "same_person_twice")
        assert status_of(submitted) == "submitted"

    def test_refuses_the_approver_as_releaser(
        self, api: Api, program: Program, approved: Disbursement, approver: User
    ) -> None:
        factories.change_role(program, approver, "releaser")
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
        assert shown["progress"]["payments"] == [
            {"status": "cancelled", "count": 3, "amount_minor": None, "amount_sat": 180_000}
        ]
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
            "payments": [{"status": "pending", "count": 3, "amount_minor": None, "amount_sat": 180_000}],
            "payouts": [{"status": "sent", "count": 1, "amount_minor": None, "amount_sat": 110_000}],
            "unsealed_count": 1,
        }
        payments = expect.ok(api(auditor).get(url(disbursement, "payments")))["results"]
        assert [(p["line"], p["amount_sat"], p["payout_status"], p["txid"], p["vout"]) for p in payments] == [
            (1, 50_000, "sent", payout.current.txid, 0),
            (2, 60_000, "sent", payout.current.txid, 1),
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
