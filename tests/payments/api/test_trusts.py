"""Trusts through the API: from a proposal to a decision of two, elections, legs, and who may read and sign (R-25)."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Election, Payment, Program, Trust, TrustDecision, TrustPurse
from payments.services import bank_writing
from payments.trust import following
from tests import banking, claiming, factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.trust.conftest import Three, give_price, make_list, release
from tests.payments.trust.test_legs import settle

pytestmark = pytest.mark.django_db

CAPITAL = {
    "kind": "capital_in",
    "currency": "PKR",
    "amount_minor": 10_000_000,
    "reference": "Letter 1",
    "note": "Seed.",
}


@pytest.fixture
def trust() -> Trust:
    give_price("28100000")
    return factories.make_trust(cash_minor=2_000_000)


@pytest.fixture
def three(officer: User, approver: User, releaser: User) -> Three:
    return Three(officer, approver, releaser)


class TestTrust:
    def test_is_proposed_confirmed_and_read(self, api: Api, program: Program) -> None:
        first, second = (api(factories.make_member(program, "security", name)) for name in ("sana", "sam"))
        for name in ("x", "y", "z"):
            factories.make_user(name)
        asked = {
            "scope": "trust:7",
            "name": "Trust",
            "policy_profile": "sandbox",
            "jurisdiction": "pakistan",
            "members": ["x", "y", "z"],
            "inventory_cap_sat": 100,
            "currency": "PKR",
            "floor_minor": 1,
            "limit_minor": 2,
            "note": "By law.",
        }
        made = expect.ok(first.post("/api/v1/trusts/proposals/", asked), 201)
        expect.ok(second.post(f"/api/v1/proposals/{made['id']}/confirm/", {}))
        (found,) = expect.ok(first.get("/api/v1/trusts/"))["results"]
        assert (found["scope"], found["members"], found["purses"][0]["floor_minor"]) == (
            "trust:7",
            ["x", "y", "z"],
            1,
        )
        assert expect.ok(first.get(f"/api/v1/trusts/{found['id']}/")) == found

    def test_is_not_there_for_whoever_reads_no_program(self, api: Api, trust: Trust) -> None:
        stranger = api(factories.make_user("stranger"))
        decision = TrustDecision.objects.get()
        for route in (
            f"trusts/{trust.pk}/",
            f"trusts/{trust.pk}/decisions/",
            f"trusts/{trust.pk}/legs/",
            f"trust-decisions/{decision.pk}/",
        ):
            expect.problem(stranger.get(f"/api/v1/{route}"), 404, "not_found")
        assert expect.ok(stranger.get("/api/v1/trusts/"))["results"] == []


class TestDecision:
    def test_is_signed_by_two_members(self, api: Api, trust: Trust, program: Program) -> None:
        first, second, third = (api(user) for user in factories.board_of(trust))
        route = f"/api/v1/trusts/{trust.pk}/decisions/"
        made = expect.ok(first.post(route, CAPITAL), 201)
        assert (made["status"], made["waits_for_me"]) == ("open", False)
        address = f"/api/v1/trust-decisions/{made['id']}/"
        assert expect.ok(second.get(address))["waits_for_me"] is True
        expect.problem(first.post(f"{address}sign/", {}), 403, "same_person_twice")
        auditor = api(factories.make_member(program, "auditor"))
        expect.problem(auditor.post(f"{address}sign/", {}), 403, "not_on_the_board")
        done = expect.ok(second.post(f"{address}sign/", {}))
        assert (done["status"], [vote["user"] for vote in done["votes"]]) == (
            "carried",
            ["amir-trust-1", "bela-trust-1"],
        )
        assert TrustPurse.objects.get(trust=trust).cash_minor == 12_000_000
        expect.problem(third.post(f"{address}sign/", {}), 409, "status_conflict")
        newest = expect.ok(third.get(f"{route}?status=carried&kind=capital_in"))["results"][0]
        assert newest["id"] == made["id"]

    def test_below_the_floor_is_refused_with_its_rule(self, api: Api, trust: Trust) -> None:
        first, second, _ = (api(user) for user in factories.board_of(trust))
        asked = CAPITAL | {"kind": "capital_out", "amount_minor": 2_000_001}
        made = expect.ok(first.post(f"/api/v1/trusts/{trust.pk}/decisions/", asked), 201)
        body = expect.problem(
            second.post(f"/api/v1/trust-decisions/{made['id']}/sign/", {}), 409, "trust_below_floor"
        )
        assert (body["details"]["rule"], body["details"]["needed_minor"]) == ("floor", 2_000_001)
        expect.ok(first.post(f"/api/v1/trust-decisions/{made['id']}/withdraw/", {"note": "Too much."}))

    def test_names_the_term_that_is_missing_or_out_of_place(self, api: Api, trust: Trust) -> None:
        client = api(factories.board_of(trust)[0])
        asked = {"kind": "sale", "currency": "PKR", "amount_sat": 5, "amount_minor": 5, "note": "x"}
        body = expect.problem(
            client.post(f"/api/v1/trusts/{trust.pk}/decisions/", asked), 422, "invalid_input"
        )
        assert {(error["column"], error["code"]) for error in body["errors"]} == {
            ("amount_minor", "out_of_place"),
            ("value_minor", "missing"),
            ("reference", "missing"),
        }


class TestElection:
    def test_takes_the_leg_of_the_next_list_and_bitcoin_where_the_trust_cannot(
        self, api: Api, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [51_601, 51_601], but=(2,))
        client, person = api(three.officer), claiming.person_of(draft, 2)
        route = f"/api/v1/enrollments/{person.pk}/elections/"
        asked = {"choice": "currency", "trust_id": trust.pk, "currency": "PKR", "note": "By call."}
        expect.ok(client.post(route, asked), 201)
        (found,) = expect.ok(client.get(route))["results"]
        assert (found["choice"], found["trust_id"], found["currency"]) == ("currency", trust.pk, "PKR")
        release(draft, three)
        rows = expect.ok(client.get(f"/api/v1/trusts/{trust.pk}/legs/?disbursement={draft.pk}"))["results"]
        assert [(row["status"], row["refusal"], row["value_minor"]) for row in rows] == [
            ("refused", "floor", 1_449_988),
            ("taken", "", 1_449_988),
        ]
        held = Payment.objects.get(disbursement=draft, line=2)
        done = expect.ok(client.post(f"/api/v1/payments/{held.pk}/bitcoin/", {"note": "By call."}))
        assert done["status"] == "cancelled"
        assert Election.objects.filter(enrollment=person).latest("pk").choice == "bitcoin"

    def test_asks_the_trust_again_by_a_list_that_is_made_in_one_act(
        self, api: Api, trust: Trust, three: Three, program: Program
    ) -> None:
        draft = make_list(program, three, trust, [51_601, 51_601])
        release(draft, three)
        client = api(three.officer)
        held = Payment.objects.get(disbursement=draft, line=2)
        done = expect.ok(client.post(f"/api/v1/payments/{held.pk}/trust/", {"note": "By call."}))
        assert done["status"] == "cancelled"
        (leg,) = expect.ok(client.get(f"/api/v1/trusts/{trust.pk}/legs/?refusal=floor"))["results"]
        assert (leg["payment_id"], leg["instead"]) == (held.pk, "again")
        route = f"/api/v1/disbursements/{draft.pk}/choices/"
        expect.problem(client.post(route, {"rail": "voucher"}), 409, "nothing_chosen")
        expect.problem(client.post(route, {"rail": "bank"}), 400, "validation_error")
        made = expect.ok(client.post(route, {"rail": "bitcoin"}), 201)
        assert (made["status"], made["payment_count"], made["total_sat"]) == ("draft", 1, 51_601)
        expect.problem(client.post(route, {"rail": "bitcoin"}), 409, "nothing_chosen")

    def test_hides_legs_of_programs_that_the_reader_does_not_read(
        self, api: Api, trust: Trust, three: Three, program: Program
    ) -> None:
        release(make_list(program, three, trust, [51_601]), three)
        other = api(factories.make_member(factories.make_program("ELSEWHERE"), "auditor"))
        route = f"/api/v1/trusts/{trust.pk}/legs/"
        assert expect.ok(other.get(route))["results"] == []
        assert len(expect.ok(api(factories.board_of(trust)[2]).get(route))["results"]) == 1

    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"currency": "USD"}, 422, "invalid_input"),
            ({"choice": "gold"}, 400, "validation_error"),
            ({"note": ""}, 400, "validation_error"),
        ],
    )
    def test_refuses(
        self,
        api: Api,
        trust: Trust,
        three: Three,
        program: Program,
        changes: dict[str, Any],
        status: int,
        code: str,
    ) -> None:
        person = factories.make_enrollment(program)
        asked = {"choice": "currency", "trust_id": trust.pk, "currency": "PKR", "note": "By call."}
        response = api(three.officer).post(f"/api/v1/enrollments/{person.pk}/elections/", asked | changes)
        expect.problem(response, status, code)
        assert not Election.objects.exists()


class TestBank:
    """The file of a decision goes to the bank with one of the board, and the bank's answer comes back the same way."""

    def test_is_paid_and_answered(self, api: Api, three: Three, program: Program) -> None:
        give_price("28100000")
        trust = factories.make_trust(cash_minor=2_000_000)
        sana, sam = (api(factories.make_member(program, "security", name)) for name in ("sana", "sam"))
        account = {"title": "Trust", "iban": banking.OWN, "currency": "PKR", "note": "The bank's letter."}
        route = f"/api/v1/trusts/{trust.pk}/proposals/paying-accounts/"
        made = expect.ok(sana.post(route, account), 201)
        expect.ok(sam.post(f"/api/v1/proposals/{made['id']}/confirm/", {}))
        draft = make_list(program, three, trust, [51_601])
        release(draft, three)
        settle(draft)
        following.follow(trust.pk)
        banking.make_account(Payment.objects.get(disbursement=draft).beneficiary, three.officer)
        first, second, third = (api(user) for user in factories.board_of(trust))
        asked = {"kind": "pay", "currency": "PKR", "note": "The month."}
        decision = expect.ok(first.post(f"/api/v1/trusts/{trust.pk}/decisions/", asked), 201)
        expect.problem(first.get(f"/api/v1/trust-decisions/{decision['id']}/bank-file/"), 404, "not_found")
        expect.ok(second.post(f"/api/v1/trust-decisions/{decision['id']}/sign/", {}))
        file = f"/api/v1/trust-decisions/{decision['id']}/bank-file/"
        shown = expect.ok(third.get(file))
        assert (shown["status"], shown["total_minor"]) == ("waiting", 1_449_988)
        bank_writing.write(shown["id"])
        auditor = api(factories.make_member(program, "auditor"))
        expect.problem(auditor.post(f"{file}fetch/", {}), 403, "not_on_the_board")
        data = b"".join(third.post(f"{file}fetch/", {}).streaming_content)
        (line,) = banking.read(data)["transfers"]
        report = banking.answer(data, {line["id"]: ("ACSC", "")})
        report.name = "report.xml"
        route = f"/api/v1/trusts/{trust.pk}/bank-reports/"
        expect.problem(auditor.post(route, {"file": report}, format="multipart"), 403, "not_on_the_board")
        report.seek(0)
        taken = expect.ok(first.post(route, {"file": report}, format="multipart"), 201)
        assert taken["settled_count"] == 1
        assert TrustPurse.objects.get(trust=trust).cash_minor == 2_000_000 - 1_449_988
