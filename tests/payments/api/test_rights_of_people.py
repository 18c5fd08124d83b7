"""Proofs of control, consent and erasure over the API."""

import pytest
from django.contrib.auth.models import User

from payments.models import AddressProof, Beneficiary, Consent, Erasure, Program
from payments.services import erasures
from tests import factories
from tests.holders import Holder
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


class TestAddressProofs:
    def test_are_asked_for_and_answered(self, api: Api, program: Program, officer: User) -> None:
        asha = Holder("asha")
        enrollment = factories.make_enrollment(program, script_pubkey=asha.p2wpkh)
        path = f"/api/v1/enrollments/{enrollment.pk}/address-proofs/"
        made = expect.ok(api(officer).post(path, {"address": asha.address}), 201)
        assert (made["reference"], made["address"]) == (enrollment.reference, asha.address)
        assert (made["proved_at"], made["signature"]) == (None, "")
        one = f"/api/v1/address-proofs/{made['id']}/"
        wrong = Holder("bilal").sign(made["challenge"])
        refused = expect.problem(
            api(officer).post(f"{one}signature/", {"signature": wrong}), 422, "control_not_proved"
        )
        assert refused["details"]["rule"] == "invalid"
        assert AddressProof.objects.get().proved_at is None
        signed = asha.sign(made["challenge"])
        done = expect.ok(api(officer).post(f"{one}signature/", {"signature": signed}))
        assert (done["form"], done["signature"], done["recorded_by"]) == ("bip322", signed, officer.username)
        again = api(officer).post(f"{one}signature/", {"signature": signed})
        expect.problem(again, 409, "control_proved")
        assert expect.ok(api(officer).get(one)) == done
        listed = f"/api/v1/programs/{program.pk}/address-proofs/"
        assert expect.ok(api(officer).get(f"{listed}?is_open=true"))["results"] == []
        assert expect.ok(api(officer).get(f"{listed}?is_open=false"))["results"] == [done]


class TestConsents:
    def test_are_words_to_versions_of_a_text(self, api: Api, program: Program, officer: User) -> None:
        enrollment = factories.make_enrollment(program)
        texts = f"/api/v1/programs/{program.pk}/consent-texts/"
        made = expect.ok(api(officer).post(texts, {"version": "2026-1", "text": "We keep your name."}), 201)
        expect.problem(
            api(officer).post(texts, {"version": "2026-1", "text": "x"}), 409, "consent_text_exists"
        )
        assert expect.ok(api(officer).get(texts))["results"] == [made]
        path = f"/api/v1/enrollments/{enrollment.pk}/consents/"
        given = expect.ok(api(officer).post(path, {"version": "2026-1", "is_given": True}), 201)
        body = {"version": "2026-1", "is_given": False, "note": "By telephone.", "said_date": "2026-11-02"}
        taken = expect.ok(api(officer).post(path, body), 201)
        expect.problem(api(officer).post(path, body), 409, "consent_unchanged")
        assert expect.ok(api(officer).get(path))["results"] == [taken, given]
        assert (given["said_date"], taken["said_date"]) == (None, "2026-11-02")
        assert (given["is_given"], taken["is_given"], taken["note"]) == (True, False, "By telephone.")

    def test_refuse_a_text_that_is_not_there(self, api: Api, program: Program, officer: User) -> None:
        path = f"/api/v1/enrollments/{factories.make_enrollment(program).pk}/consents/"
        refused = expect.problem(
            api(officer).post(path, {"version": "9", "is_given": True}), 422, "invalid_input"
        )
        assert refused["errors"][0]["code"] == "version_unknown"
        assert Consent.objects.count() == 0


class TestErasures:
    def test_are_asked_for_by_one_and_done_by_another(
        self, api: Api, program: Program, officer: User, approver: User
    ) -> None:
        enrollment = factories.make_enrollment(program)
        eraser = factories.make_user("eraser", erasures.PERMISSION)
        program.memberships.create(user=eraser, role="auditor", granted_by=approver)
        path = f"/api/v1/enrollments/{enrollment.pk}/erasures/"
        made = expect.ok(api(officer).post(path, {"note": "Asked in writing."}), 201)
        assert (made["reference"], made["outcome"]) == (enrollment.reference, "open")
        expect.problem(api(officer).post(path, {"note": "Again."}), 409, "erasure_open")
        one = f"/api/v1/erasures/{made['id']}/"
        expect.problem(api(approver).post(f"{one}confirm/", {"note": "Yes."}), 403, "forbidden")
        done = expect.ok(api(eraser).post(f"{one}confirm/", {"note": "Checked."}))
        assert (done["outcome"], done["reference"], done["decided_by"]) == ("erased", None, "eraser")
        expect.problem(api(officer).get(f"/api/v1/enrollments/{enrollment.pk}/"), 404, "not_found")
        listed = f"/api/v1/programs/{program.pk}/erasures/"
        assert expect.ok(api(officer).get(f"{listed}?outcome=erased"))["results"] == [done]
        expect.problem(api(eraser).post(f"{one}refuse/", {"note": "No."}), 409, "erasure_decided")

    def test_wait_for_open_payments(self, api: Api, program: Program, officer: User) -> None:
        made = factories.make_disbursement(program, officer, amounts_sat=[50_000])
        enrollment = made.payments.get().beneficiary.enrollments.get()
        refused = expect.problem(
            api(officer).post(f"/api/v1/enrollments/{enrollment.pk}/erasures/", {"note": "Asked."}),
            409,
            "payments_open",
        )
        assert refused["details"] == {"payments": 1}
        assert Erasure.objects.count() == 0
        assert Beneficiary.objects.get(pk=enrollment.beneficiary_id).erased_at is None
