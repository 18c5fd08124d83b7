"""Payments, payouts and the node through the API."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from payments.models import Block, Disbursement, NodeStatus, Payment, Payout, StatusChange
from payments.onchain import address, network
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def first(disbursement: Disbursement) -> Payment:
    """The first line."""
    return Payment.objects.get(disbursement=disbursement, line=1)


def status_of(payment: Payment) -> str:
    """The status in the database."""
    return Payment.objects.values_list("status", flat=True).get(pk=payment.pk)


class TestRead:
    def test_shows_where_the_payment_is_on_chain(
        self, api: Api, furnished: dict[str, Any], auditor: User
    ) -> None:
        payment, payout = furnished["payment"], furnished["payout"]
        Block.objects.create(block_hash="b1" * 32, prev_hash="b0" * 32, height=2, time=timezone.now())
        Block.objects.create(block_hash="b2" * 32, prev_hash="b1" * 32, height=3, time=timezone.now())
        mined = {"mined_txid": payout.current.txid, "mined_block_hash": "b1" * 32, "mined_height": 2}
        Payout.objects.filter(pk=payout.pk).update(**mined)
        shown = expect.ok(api(auditor).get(f"/api/v1/payments/{payment.pk}/"))
        script = bytes(payment.script_pubkey)
        assert shown == {
            "id": payment.pk,
            "disbursement_id": furnished["disbursement"].pk,
            "line": 1,
            "reference": furnished["enrollment"].reference,
            "currency": "sat",
            "amount_minor": None,
            "amount_sat": 50_000,
            "remainder_minor": None,
            "status": "pending",
            "rail": "bitcoin",
            "sent_at": None,
            "settled_at": None,
            "address": address.address_from_script(script, network.current()),
            "script_pubkey": script.hex(),
            "payout_id": payout.pk,
            "payout_status": "sent",
            "txid": payout.current.txid,
            "vout": 0,
            "reissue_of_id": None,
            "reissued_by_id": None,
            "block_hash": "b1" * 32,
            "block_height": 2,
            "confirmations": 2,
        }

    def test_shows_a_payment_that_is_in_no_payout(self, api: Api, draft: Disbursement, officer: User) -> None:
        shown = expect.ok(api(officer).get(f"/api/v1/payments/{first(draft).pk}/"))
        assert (shown["address"], shown["payout_id"], shown["txid"], shown["confirmations"]) == (
            None,
            None,
            None,
            0,
        )


class TestHolds:
    def test_holds_and_a_second_person_resumes(
        self, api: Api, approved: Disbursement, officer: User, approver: User
    ) -> None:
        payment = first(approved)
        held = api(officer).post(f"/api/v1/payments/{payment.pk}/hold/", {"note": "Moved away."})
        assert expect.ok(held)["status"] == "held"
        again = api(officer).post(f"/api/v1/payments/{payment.pk}/resume/", {"note": "Back."})
        expect.problem(again, 403, "same_person_twice")
        assert status_of(payment) == "held"
        resumed = api(approver).post(f"/api/v1/payments/{payment.pk}/resume/", {"note": "Back."})
        assert expect.ok(resumed)["status"] == "pending"
        history = expect.ok(api(approver).get(f"/api/v1/payments/{payment.pk}/history/"))["results"]
        assert [(c["new"], c["note"], c["actor"]) for c in history] == [
            ("held", "Moved away.", officer.username),
            ("pending", "Back.", approver.username),
        ]

    def test_withdraws_a_held_payment(
        self, api: Api, approved: Disbursement, officer: User, approver: User
    ) -> None:
        payment = first(approved)
        expect.ok(api(officer).post(f"/api/v1/payments/{payment.pk}/hold/", {"note": "Died."}))
        gone = api(approver).post(f"/api/v1/payments/{payment.pk}/withdraw/", {"note": "Confirmed."})
        assert expect.ok(gone)["status"] == "cancelled"

    def test_refuses_to_hold_what_is_sealed(self, api: Api, furnished: dict[str, Any], officer: User) -> None:
        before = StatusChange.objects.count()
        response = api(officer).post(f"/api/v1/payments/{furnished['payment'].pk}/hold/", {"note": "Stop."})
        expect.problem(response, 409, "payment_sealed")
        assert status_of(furnished["payment"]) == "pending"
        assert StatusChange.objects.count() == before

    @pytest.mark.parametrize("verb", ["hold", "resume", "withdraw"])
    def test_refuses_auditors(self, api: Api, approved: Disbursement, auditor: User, verb: str) -> None:
        response = api(auditor).post(f"/api/v1/payments/{first(approved).pk}/{verb}/", {"note": "No."})
        expect.problem(response, 403, "role_missing")
        assert status_of(first(approved)) == "pending"

    @pytest.mark.parametrize("verb", ["resume", "withdraw"])
    def test_refuses_what_is_not_held(
        self, api: Api, approved: Disbursement, approver: User, verb: str
    ) -> None:
        response = api(approver).post(f"/api/v1/payments/{first(approved).pk}/{verb}/", {"note": "Why."})
        expect.problem(response, 409, "status_conflict")
        assert status_of(first(approved)) == "pending"


class TestPayouts:
    def test_shows_txs_inputs_and_fee(self, api: Api, furnished: dict[str, Any], auditor: User) -> None:
        payout = furnished["payout"]
        shown = expect.ok(api(auditor).get(f"/api/v1/payouts/{payout.pk}/"))
        assert (shown["fee_sat"], shown["vsize_vb"], shown["feerate_sat_kvb"]) == (1_234, 617, 2_000)
        assert shown["confirmations"] == 0
        assert [(tx["txid"], tx["fee_sat"]) for tx in shown["txs"]] == [(payout.current.txid, 1_234)]
        assert shown["inputs"] == [
            {"position": 0, "txid": payout.anchor_txid, "vout": 0, "amount_sat": 111_234, "is_live": True}
        ]

    def test_filters(self, api: Api, furnished: dict[str, Any], officer: User) -> None:
        payout, client = furnished["payout"], api(officer)
        for query, count in [
            ("", 1),
            (f"?txid={payout.current.txid}", 1),
            ("?txid=00", 0),
            ("?status=sent", 1),
            ("?status=settled", 0),
            (f"?program={furnished['program'].pk}&disbursement={furnished['disbursement'].pk}", 1),
        ]:
            assert len(expect.ok(client.get(f"/api/v1/payouts/{query}"))["results"]) == count

    def test_shows_nothing_of_other_programs(
        self, api: Api, furnished: dict[str, Any], outsider: User
    ) -> None:
        for query in ("", f"?program={furnished['program'].pk}", f"?txid={furnished['payout'].current.txid}"):
            assert expect.ok(api(outsider).get(f"/api/v1/payouts/{query}"))["results"] == []

    def test_shows_the_history(self, api: Api, furnished: dict[str, Any], officer: User) -> None:
        payout = furnished["payout"]
        StatusChange.objects.create(
            subject="payout",
            subject_id=payout.pk,
            old="signed",
            new="sent",
            reason="a node accepted the bytes",
        )
        rows = expect.ok(api(officer).get(f"/api/v1/payouts/{payout.pk}/history/"))["results"]
        assert [(r["old"], r["new"], r["actor"]) for r in rows] == [("signed", "sent", None)]


class TestNode:
    def test_says_that_nobody_looked_yet(self, api: Api, officer: User) -> None:
        shown = expect.ok(api(officer).get("/api/v1/node/"))
        assert (shown["is_ok"], shown["code"], shown["age_s"]) == (False, "not_checked", None)

    @pytest.mark.parametrize(
        ("columns", "age_s", "is_ok", "code"),
        [
            ({"is_ok": True, "block_height": 7}, 3, True, ""),
            ({"is_ok": False, "code": "wrong_chain", "message": "The node ..."}, 3, False, "wrong_chain"),
            ({"is_ok": True}, 3_600, False, "stale"),
        ],
    )
    def test_tells_the_last_look_and_its_age(
        self, api: Api, officer: User, columns: dict[str, Any], age_s: int, is_ok: bool, code: str
    ) -> None:
        row = NodeStatus.objects.create(network="regtest", **columns)
        NodeStatus.objects.filter(pk=row.pk).update(checked_at=timezone.now() - timedelta(seconds=age_s))
        shown = expect.ok(api(officer).get("/api/v1/node/"))
        assert (shown["is_ok"], shown["code"]) == (is_ok, code)
        assert age_s <= shown["age_s"] <= age_s + 5
