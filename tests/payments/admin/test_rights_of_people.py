"""Proof of control, consent and erasure on an enrollment's page, and where they are decided."""

from collections.abc import Callable
from datetime import date

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from payments.models import (
    AddressProof,
    Beneficiary,
    Consent,
    ConsentText,
    Enrollment,
    Erasure,
    Exclusion,
    Program,
)
from payments.services import erasures, exclusions
from tests import factories
from tests.holders import Holder

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


def page(row: Enrollment, action: str) -> str:
    return reverse(f"admin:payments_enrollment_{action}", args=[row.pk])


class TestProof:
    def test_is_asked_for_at_the_persons_address_and_recorded(
        self, program: Program, officer: User, releaser: User, browser: Browser
    ) -> None:
        asha = Holder("asha")
        row = factories.make_enrollment(program, script_pubkey=asha.p2wpkh)
        assert asha.address in browser(officer).get(page(row, "ask_proof")).content.decode()
        assert browser(officer).post(page(row, "ask_proof"), {"address": asha.address}).status_code == 302
        proof = AddressProof.objects.get()
        shown = browser(officer).get(reverse("admin:payments_addressproof_change", args=[proof.pk]))
        assert proof.challenge in shown.content.decode()
        url = reverse("admin:payments_addressproof_record", args=[proof.pk])
        wrong = browser(officer).post(url, {"signature": Holder("bilal").sign(proof.challenge)})
        assert wrong.status_code == 422
        signed = {"signature": asha.sign(proof.challenge)}
        assert browser(releaser).post(url, signed).status_code == 403
        assert AddressProof.objects.get().proved_at is None
        assert browser(officer).post(url, signed).status_code == 302
        assert AddressProof.objects.get().form == "bip322"


class TestConsent:
    def test_is_recorded_to_a_version_that_an_officer_wrote(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        assert browser(officer).get(page(row, "record_consent")).status_code == 302
        new = reverse("admin:payments_consenttext_publish")
        given = {"program": program.pk, "version": "2026-1", "text": "We keep your name."}
        assert browser(approver).post(new, given).status_code == 403
        assert browser(officer).post(new, given).status_code == 302
        assert ConsentText.objects.get().text == "We keep your name."
        for said, count in (("yes", 1), ("no", 2)):
            answer = browser(officer).post(
                page(row, "record_consent"),
                {"version": "2026-1", "is_given": said, "note": "Form 12.", "said_date": "2026-11-02"},
            )
            assert (answer.status_code, Consent.objects.count()) == (302, count)
        shown = browser(officer).get(reverse("admin:payments_enrollment_change", args=[row.pk]))
        assert "took it back" in shown.content.decode()
        assert "2026-11-02" in shown.content.decode()


class TestAppeal:
    def test_is_offered_where_a_list_excludes_the_person(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        client, url = browser(officer), reverse("admin:payments_enrollment_change", args=[row.pk])
        assert page(row, "lodge_appeal") not in client.get(url).content.decode()
        made = exclusions.create(
            by=officer,
            program_id=program.pk,
            name="Deceased",
            reason="Register of deaths",
            source="registry",
            valid_from=date(2026, 1, 1),
        )
        Exclusion.objects.create(
            exclusion_list=made,
            identity_hash=row.beneficiary.identity_hash,
            created_by=officer,
            created_at=timezone.now(),
        )
        assert page(row, "lodge_appeal") in client.get(url).content.decode()


class TestErasure:
    def test_is_asked_for_by_one_and_done_by_another(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        eraser = factories.make_user("eraser", erasures.PERMISSION)
        program.memberships.create(user=eraser, role="auditor", granted_by=approver)
        assert browser(officer).post(page(row, "erase"), {"note": "Asked in writing."}).status_code == 302
        erasure = Erasure.objects.get()
        at = reverse("admin:payments_erasure_change", args=[erasure.pk])
        assert "Waits for a second person" in browser(officer).get(at).content.decode()
        assert "Waits for you" in browser(eraser).get(at).content.decode()
        url = reverse("admin:payments_erasure_confirm", args=[erasure.pk])
        for user in (officer, approver):
            assert browser(user).post(url, {"note": "Yes."}).status_code == 403
        assert Beneficiary.objects.get().erased_at is None
        assert browser(eraser).post(url, {"note": "Checked."}).status_code == 302
        person = Beneficiary.objects.get()
        assert person.personal["full_name"] == ""
        assert browser(eraser).get(url)["Location"] == at
        shown = browser(eraser).get(reverse("admin:payments_erasure_change", args=[erasure.pk]))
        assert f"Person {person.pk}" in shown.content.decode()

    def test_says_what_is_open(self, program: Program, officer: User, browser: Browser) -> None:
        made = factories.make_disbursement(program, officer, amounts_sat=[50_000])
        row = made.payments.get().beneficiary.enrollments.get()
        answer = browser(officer).post(page(row, "erase"), {"note": "Asked in writing."})
        assert answer.status_code == 409
        assert "Payments to the person are neither settled nor withdrawn: 1." in answer.content.decode()
        assert Erasure.objects.count() == 0
