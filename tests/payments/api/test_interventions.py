"""What people ask of the engine, through the API; bumps and voids are looked at with a real node."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Disbursement, Intervention, Payment, Payout, PayoutTx, Program, StatusChange
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.regtest.ministry import Ministry, use_node


class TestOnNode:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def ministry(self, settings: object) -> Ministry:
        use_node(settings)
        return Ministry.open(deposits_sat=[1_000_000])

    @pytest.fixture
    def treasurer(self, ministry: Ministry) -> User:
        return factories.make_member(ministry.program, "treasurer")

    @pytest.fixture
    def payout(self, ministry: Ministry) -> Payout:
        (found,) = ministry.pay(ministry.release([40_000, 50_000]))
        return found

    def test_shows_what_a_bump_costs_and_changes_nothing(
        self, api: Api, payout: Payout, treasurer: User
    ) -> None:
        body = {"kind": "bump", "feerate_sat_vb": "5"}
        shown = expect.ok(api(treasurer).post(f"/api/v1/payouts/{payout.pk}/preview/", body))
        assert payout.current is not None
        assert (shown["old_txid"], shown["old_fee_sat"]) == (payout.current.txid, payout.current.fee_sat)
        assert (shown["feerate_sat_kvb"], shown["needs_second"]) == (5_000, False)
        assert shown["fee_added_sat"] == shown["new_fee_sat"] - shown["old_fee_sat"]
        assert (Intervention.objects.count(), PayoutTx.objects.count()) == (0, 1)

    def test_proposes_once_for_one_key(self, api: Api, payout: Payout, treasurer: User) -> None:
        address = f"/api/v1/payouts/{payout.pk}/interventions/"
        body = {"kind": "void", "note": "The list was wrong."}
        client = api(treasurer)
        first = client.post(address, body, headers={"Idempotency-Key": "void-1"})
        again = client.post(address, body, headers={"Idempotency-Key": "void-1"})
        made = expect.ok(first, 201)
        assert expect.ok(again, 201) == made
        assert again["Idempotency-Replayed"] == "true"
        assert (made["kind"], made["status"], made["needs_second"]) == ("void", "proposed", True)
        assert made["preview"]["spent_inputs"] == [f"{payout.anchor_txid}:{payout.anchor_vout}"]
        assert Intervention.objects.count() == 1
        expect.problem(client.post(address, body), 409, "intervention_open")
        assert [row["id"] for row in expect.ok(client.get(address))["results"]] == [made["id"]]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"kind": "bump", "note": "x"}, 422, "invalid_input"),
            ({"kind": "bump", "note": "x", "feerate_sat_vb": "0"}, 400, "validation_error"),
            ({"kind": "bump", "note": "x", "feerate_sat_vb": "1.0001"}, 400, "validation_error"),
            ({"kind": "bump", "note": "x", "feerate_sat_vb": "51"}, 422, "feerate_refused"),
            ({"kind": "unhalt", "note": "x"}, 400, "validation_error"),
            ({"kind": "thaw", "note": "x"}, 409, "intervention_impossible"),
            ({"kind": "void", "note": ""}, 400, "validation_error"),
            ({"kind": "void", "note": "x", "over_pending": True}, 422, "invalid_input"),
            ({"kind": "void", "note": "x", "status": "approved"}, 400, "validation_error"),
        ],
    )
    def test_refuses_what_breaks_a_rule(
        self, api: Api, payout: Payout, treasurer: User, body: dict[str, Any], status: int, code: str
    ) -> None:
        response = api(treasurer).post(f"/api/v1/payouts/{payout.pk}/interventions/", body)
        expect.problem(response, status, code)
        assert Intervention.objects.count() == 0
        assert Payout.objects.get().status == "sent"

    def test_lifts_no_halt_that_there_is_not(self, api: Api, ministry: Ministry, treasurer: User) -> None:
        address = f"/api/v1/programs/{ministry.program.pk}/wallet/unhalt/"
        response = api(treasurer).post(address, {"note": "It looks right again."})
        expect.problem(response, 409, "intervention_impossible")
        assert Intervention.objects.count() == 0


@pytest.mark.django_db
class TestDecide:
    @pytest.fixture
    def treasurer(self, program: Program) -> User:
        return factories.make_member(program, "treasurer")

    @pytest.fixture
    def asked(self, furnished: dict[str, Any], treasurer: User) -> Intervention:
        payout = furnished["payout"]
        return Intervention.objects.create(
            kind="void",
            payout=payout,
            wallet=payout.wallet,
            preview={"old_txid": payout.current.txid, "new_fee_sat": 1_500, "needs_second": True},
            note="Wrong list.",
            proposed_by=treasurer,
        )

    def test_finds_what_waits_for_me(
        self, api: Api, asked: Intervention, treasurer: User, approver: User, auditor: User
    ) -> None:
        for user, ids in ((approver, [asked.pk]), (treasurer, []), (auditor, [])):
            found = expect.ok(api(user).get("/api/v1/interventions/?waits_for_me=true"))["results"]
            assert [row["id"] for row in found] == ids
        everything = expect.ok(api(auditor).get("/api/v1/interventions/?status=proposed&kind=void"))
        assert [row["id"] for row in everything["results"]] == [asked.pk]

    def test_shows_nothing_of_other_programs(self, api: Api, asked: Intervention, outsider: User) -> None:
        assert expect.ok(api(outsider).get("/api/v1/interventions/"))["results"] == []

    def test_agrees_as_a_second_person(
        self, api: Api, asked: Intervention, treasurer: User, approver: User
    ) -> None:
        address = f"/api/v1/interventions/{asked.pk}/approve/"
        expect.problem(api(treasurer).post(address, {}), 403, "same_person_twice")
        agreed = expect.ok(api(approver).post(address, {"note": "I looked."}))
        assert (agreed["status"], agreed["decided_by"], agreed["outcome"]) == (
            "approved",
            approver.username,
            "",
        )
        expect.problem(api(approver).post(address, {}), 409, "status_conflict")
        history = expect.ok(api(approver).get(f"/api/v1/interventions/{asked.pk}/history/"))["results"]
        assert [(row["old"], row["new"], row["note"]) for row in history] == [
            ("proposed", "approved", "I looked.")
        ]

    def test_rejects_for_a_reason(self, api: Api, asked: Intervention, approver: User) -> None:
        address = f"/api/v1/interventions/{asked.pk}/reject/"
        expect.problem(api(approver).post(address, {}), 400, "validation_error")
        assert expect.ok(api(approver).post(address, {"note": "Wait a block."}))["status"] == "rejected"

    def test_takes_back_what_one_proposed(
        self, api: Api, asked: Intervention, treasurer: User, approver: User
    ) -> None:
        address = f"/api/v1/interventions/{asked.pk}/withdraw/"
        expect.problem(api(approver).post(address, {"note": "Mine."}), 403, "not_the_proposer")
        expect.problem(api(treasurer).post(address, {}), 400, "validation_error")
        taken = expect.ok(api(treasurer).post(address, {"note": "The wrong payout."}))
        assert (taken["status"], taken["decided_by"]) == ("withdrawn", None)
        expect.problem(api(treasurer).post(address, {"note": "Again."}), 409, "status_conflict")

    @pytest.mark.parametrize(
        ("payout_status", "outcome"),
        [("voided", "voided"), ("mined", "lost"), ("settled", "lost"), ("voiding", "waits")],
    )
    def test_tells_whether_a_void_won(
        self, api: Api, asked: Intervention, approver: User, payout_status: str, outcome: str
    ) -> None:
        Intervention.objects.filter(pk=asked.pk).update(status="done", decided_by=approver)
        Payout.objects.update(status=payout_status)
        shown = expect.ok(api(approver).get(f"/api/v1/interventions/{asked.pk}/"))
        assert shown["outcome"] == outcome


@pytest.mark.django_db
class TestGivenUp:
    @pytest.mark.parametrize("payout_status", ["voiding", "voided"])
    def test_payout_pays_nobody_with_the_tx_that_takes_its_coin_back(
        self, api: Api, furnished: dict[str, Any], officer: User, payout_status: str
    ) -> None:
        payout: Payout = furnished["payout"]
        row = Payment.objects.filter(payout=payout).order_by("pk")[0]
        before = expect.ok(api(officer).get(f"/api/v1/payments/{row.pk}/"))
        assert (before["txid"], before["vout"]) == (payout.current.txid, row.vout)
        Payout.objects.filter(pk=payout.pk).update(
            status=payout_status, mined_txid=payout.current.txid, mined_block_hash="ab" * 32, mined_height=1
        )
        shown = expect.ok(api(officer).get(f"/api/v1/payments/{row.pk}/"))
        found = [shown[name] for name in ("txid", "vout", "block_hash", "block_height", "confirmations")]
        assert (shown["payout_status"], found) == (payout_status, [None, None, None, None, 0])


@pytest.mark.django_db
class TestReissue:
    @pytest.fixture
    def payout(self, furnished: dict[str, Any]) -> Payout:
        found: Payout = furnished["payout"]
        Payout.objects.filter(pk=found.pk).update(status="voided")
        Payment.objects.filter(payout=found).update(status="voided")
        return found

    def test_makes_a_draft_and_links_both_ways(self, api: Api, payout: Payout, officer: User) -> None:
        client = api(officer)
        made = expect.ok(client.post(f"/api/v1/payouts/{payout.pk}/reissues/"), 201)
        assert (made["status"], made["payment_count"]) == ("draft", 2)
        new = Payment.objects.filter(disbursement_id=made["id"]).order_by("line")[0]
        old = expect.ok(client.get(f"/api/v1/payments/{new.reissue_of_id}/"))
        assert (old["reissued_by_id"], old["reissue_of_id"], old["status"]) == (new.pk, None, "voided")
        shown = expect.ok(client.get(f"/api/v1/payments/{new.pk}/"))
        assert (shown["reissue_of_id"], shown["reissued_by_id"]) == (old["id"], None)
        again = client.post(f"/api/v1/disbursements/{payout.disbursement_id}/reissues/")
        expect.problem(again, 409, "already_reissued")

    def test_is_refused_while_it_may_confirm(self, api: Api, payout: Payout, officer: User) -> None:
        Payout.objects.update(status="voiding")
        Payment.objects.filter(payout=payout).update(status="pending")
        before = (Disbursement.objects.count(), StatusChange.objects.count())
        response = api(officer).post(f"/api/v1/payouts/{payout.pk}/reissues/")
        expect.problem(response, 409, "void_not_final")
        assert (Disbursement.objects.count(), StatusChange.objects.count()) == before
