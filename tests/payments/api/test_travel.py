"""R-34 over the API: who pays is said by two, records name nobody, and payloads are for auditors and releasers."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from ledger.models import AuditEvent
from payments.models import Disbursement, Originator, Program, TravelRecord
from tests import factories, travelling
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

SAID = {"legal_name": "Ministry of Pensions", "lei": travelling.LEI, "country": "PK", "note": "By letter 7."}


@pytest.fixture
def approved(
    program: Program,
    officer: User,
    approver: User,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Disbursement:
    """An approved list of which the rule counts two lines of three."""
    travelling.legislate(monkeypatch)
    travelling.quote_dollars(settings, tmp_path)
    factories.fund(program, 100_000_000)
    amounts = [travelling.LEAST_SAT, 5_000, travelling.LEAST_SAT + 1]
    return travelling.approve(
        factories.make_disbursement(program, officer, amounts_sat=amounts), officer, approver
    )


def release(api: Api, by: User, made: Disbursement) -> Any:
    agreed = {"manifest_hash": bytes(made.manifest_hash or b"").hex()}
    return api(by).post(f"/api/v1/disbursements/{made.pk}/release/", agreed)


class TestOriginator:
    def propose(self, api: Api, by: User, program: Program, **changes: str) -> Any:
        return api(by).post(f"/api/v1/programs/{program.pk}/proposals/originators/", SAID | changes)

    def test_r34_is_said_by_two(self, api: Api, program: Program) -> None:
        first, second = (factories.make_member(program, "security", name) for name in ("sana", "samuel"))
        made = self.propose(api, first, program)
        assert (made.status_code, made.json()["kind"], Originator.objects.count()) == (201, "originator", 0)
        assert api(first).post(f"/api/v1/proposals/{made.json()['id']}/confirm/").status_code == 403
        assert api(second).post(f"/api/v1/proposals/{made.json()['id']}/confirm/").status_code == 200
        found = Originator.objects.get()
        assert (found.legal_name, found.lei, found.country, found.ended_at) == (
            *("Ministry of Pensions", travelling.LEI, "PK"),
            None,
        )
        # Another one takes its place, and leaves it as it was.
        again = self.propose(api, first, program, lei="", address_line="1 Mall Road", town="Lahore")
        api(second).post(f"/api/v1/proposals/{again.json()['id']}/confirm/")
        assert [row.ended_at is None for row in Originator.objects.order_by("pk")] == [False, True]
        assert AuditEvent.objects.filter(action="originator.set").count() == 2

    @pytest.mark.parametrize(
        ("changes", "column", "code"),
        [
            ({"legal_name": " "}, "legal_name", "missing"),
            ({"lei": "529900T8BM49AURSDO56"}, "lei", "lei_malformed"),
            ({"lei": ""}, "", "invalid"),
            ({"lei": "", "address_line": "1 Mall Road"}, "town", "address_half"),
            ({"country": "pk"}, "country", "country_malformed"),
            ({"legal_name": "Minis\u200btry"}, "legal_name", "malformed"),
        ],
    )
    def test_r34_refuses_half_of_it(
        self, api: Api, program: Program, changes: dict[str, str], column: str, code: str
    ) -> None:
        answer = self.propose(api, factories.make_member(program, "security"), program, **changes)
        assert answer.status_code in (400, 422), answer.content
        (error,) = answer.json()["errors"]
        if answer.status_code == 422:
            assert (error["column"], error["code"]) == (column, code)
        assert not Originator.objects.exists()

    def test_is_for_security_administrators(self, api: Api, program: Program, officer: User) -> None:
        assert self.propose(api, officer, program).status_code == 403


class TestRelease:
    def test_r34_is_refused_with_the_rule_and_its_law(
        self, api: Api, approved: Disbursement, releaser: User
    ) -> None:
        answer = release(api, releaser, approved)
        assert (answer.status_code, answer.json()["code"]) == (409, "policy_refused")
        said = answer.json()["details"]
        assert (said["rule"], said["law"], said["missing"]) == ("travel_rule", travelling.LAW, "originator")
        assert [(row["row"], row["code"]) for row in answer.json()["errors"]] == [
            (1, "travel_rule"),
            (3, "travel_rule"),
        ]
        approved.refresh_from_db()
        assert (approved.status, TravelRecord.objects.count()) == ("approved", 0)

    def test_r34_shows_what_was_counted_and_not_who(
        self, api: Api, program: Program, approved: Disbursement, releaser: User, officer: User
    ) -> None:
        travelling.make_originator(program)
        assert release(api, releaser, approved).status_code == 200
        answer = api(officer).get(f"/api/v1/disbursements/{approved.pk}/travel-records/")
        rows = answer.json()["results"]
        assert [(row["line"], row["counted"], row["least"]) for row in rows] == [
            (3, travelling.LEAST_SAT + 1, travelling.LEAST_SAT),
            (1, travelling.LEAST_SAT, travelling.LEAST_SAT),
        ]
        assert (rows[0]["threshold_currency"], rows[0]["threshold_minor"]) == ("USD", 100_000)
        assert (rows[0]["originator"], rows[0]["missing"], rows[0]["vasp"]) == (
            "Ministry of Pensions",
            "",
            "",
        )
        assert b"Person" not in answer.content

    def test_r34_gives_the_payload_to_auditors_and_releasers(
        self,
        api: Api,
        program: Program,
        approved: Disbursement,
        releaser: User,
        auditor: User,
        officer: User,
        outsider: User,
    ) -> None:
        travelling.make_originator(program)
        release(api, releaser, approved)
        line = approved.payments.get(line=1)
        address = f"/api/v1/payments/{line.pk}/travel-record/fetch/"
        for reader in (auditor, releaser):
            answer = api(reader).post(address)
            assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
            assert f"travel-rule-payment-{line.pk}.json" in answer.headers["Content-Disposition"]
            said = json.loads(answer.content)
            assert said["transfer"]["payment"] == line.pk
        assert api(officer).post(address).status_code == 403
        assert api(outsider).post(address).status_code == 404
        below = approved.payments.get(line=2)
        answer = api(auditor).post(f"/api/v1/payments/{below.pk}/travel-record/fetch/")
        assert (answer.status_code, answer.json()["code"]) == (409, "payload_missing")
        assert AuditEvent.objects.filter(action="travel_rule.read").count() == 2
