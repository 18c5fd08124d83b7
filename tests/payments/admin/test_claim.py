"""Entitlements in the admin: links, slips with QR codes, codes for the counter, and the list of what is claimed."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.admin import cells
from payments.models import ClaimLink, Disbursement, Entitlement, Message, Program
from payments.onchain import address, network
from payments.services import claim_links, claims, messages, tickets
from tests import claiming, factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


def page(name: str, *args: int) -> str:
    return reverse(f"admin:payments_entitlement_{name}", args=args)


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """Lines 2 and 3 wait for their people."""
    factories.fund(program, 1_000_000)
    draft = claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000, 70_000], without=[2, 3])
    return claiming.release(draft, officer, approver, releaser)


class TestLinks:
    def test_are_sent_and_can_be_read_while_the_gateway_is_local(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        client = browser(officer)
        answer = client.post(page("send_links"), {"disbursement": released.pk})
        assert answer["Location"] == reverse("admin:payments_message_changelist")
        row = Message.objects.order_by("pk")[0]
        assert "/person/claim/#" not in client.get(self.of(row)).content.decode()
        messages.send_due()
        assert "/person/claim/#" in client.get(self.of(row)).content.decode()

    def of(self, row: Message) -> str:
        return reverse("admin:payments_message_change", args=[row.pk])

    def test_go_to_one_person_by_mail(self, browser: Browser, released: Disbursement, officer: User) -> None:
        row = Entitlement.objects.get(payment__line=2)
        fields = {"channel": "email", "email": "a@example.org"}
        assert browser(officer).post(page("send_link", row.pk), fields).status_code == 302
        assert (Message.objects.get().content or {})["to"] == "a@example.org"

    def test_are_offered_to_officers_alone(
        self, browser: Browser, released: Disbursement, approver: User, officer: User
    ) -> None:
        for user, is_offered in ((officer, True), (approver, False)):
            text = browser(user).get(page("changelist")).content.decode()
            assert (page("send_links") in text) == is_offered
        answer = browser(approver).post(page("send_links"), {"disbursement": released.pk})
        assert (answer.status_code, ClaimLink.objects.count()) == (302, 0)


class TestApprove:
    def test_shows_how_much_is_for_people_without_an_address(
        self, browser: Browser, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program, 1_000_000)
        draft = claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000, 70_000], without=[2, 3])
        claiming.submit(draft, officer)
        url = reverse("admin:payments_disbursement_approve", args=[draft.pk])
        assert (
            "2 payments of 130,000 sat, paid by another list" in browser(approver).get(url).content.decode()
        )


class TestSlips:
    def test_show_a_picture_and_the_code_once(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        answer = browser(officer).post(page("print_slips"), {"disbursement": released.pk})
        text = answer.content.decode()
        assert text.count("<svg") == 2
        assert "no-store" in answer["Cache-Control"]
        assert "<script" not in text
        secrets = re.findall(r"<code>([0-9A-Z-]{31})</code>", text)
        stored = {bytes(row) for row in ClaimLink.objects.values_list("secret_hash", flat=True)}
        assert {tickets.digest(secret) for secret in secrets} == stored
        assert Message.objects.filter(kind="claim_link").count() == 0

    def test_are_in_the_language_of_the_program(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        Program.objects.update(language="ur")
        text = browser(officer).post(page("print_slips"), {"disbursement": released.pk}).content.decode()
        assert '<html lang="en">' in text
        assert text.count('<section lang="ur" dir="rtl">') == 2
        assert "Print this page now" in text
        assert "Your code" not in text
        # Whoever types the address needs no language in it: the page offers it.
        assert "<strong>http://127.0.0.1:8000/person/claim/</strong>" in text

    def test_leave_the_links_that_are_out_unless_asked_for_them(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        sent = claim_links.send_one(
            by=officer, enrollment_id=claiming.person_of(released, 2).pk, channel="sms"
        )
        client, body = browser(officer), {"disbursement": released.pk}
        text = client.post(page("print_slips"), body).content.decode()
        assert text.count("<svg") == 1
        assert claiming.person_of(released, 3).reference in text
        assert ClaimLink.objects.get(pk=sent.pk).ended_at is None
        assert client.post(page("print_slips"), body).status_code == 409
        assert client.post(page("print_slips"), body | {"is_for_all": "on"}).content.count(b"<svg") == 2
        assert ClaimLink.objects.get(pk=sent.pk).ended_at is not None

    def test_show_the_help_desk_what_became_of_them_and_not_how_they_read(
        self, browser: Browser, released: Disbursement, program: Program, officer: User
    ) -> None:
        sent = claim_links.send_one(
            by=officer, enrollment_id=claiming.person_of(released, 2).pk, channel="sms"
        )
        client = browser(factories.make_member(program, "helpdesk"))
        link = reverse("admin:payments_claimlink_change", args=[sent.pk])
        assert link in client.get(reverse("admin:payments_claimlink_changelist")).content.decode()
        assert client.get(link).status_code == 200
        assert client.get(
            reverse("admin:payments_message_change", args=[Message.objects.get().pk])
        ).status_code in (302, 403)

    def test_say_of_a_link_that_wrong_attempts_have_locked_it(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        slip = claim_links.print_slips(by=officer, disbursement_id=released.pk)[0]
        for _ in range(5):
            with pytest.raises(claims.ClaimRefused):
                claims.begin(secret=slip.secret, national_id="1234567")
        assert "locked" in browser(officer).get(cells.page_of(slip.link)).content.decode()


class TestCounter:
    def test_hands_out_six_digits_in_the_officers_name(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        claim_links.print_slips(by=officer, disbursement_id=released.pk)
        row = Entitlement.objects.get(payment__line=2)
        shown = browser(officer).post(page("hand_code", row.pk), {}, follow=True).content.decode()
        assert re.search(r"The code of REF-\d+ is \d{6}\.", shown)
        assert ClaimLink.objects.get(enrollment=claiming.person_of(released, 2)).code_by == officer


class TestList:
    def test_makes_a_draft_of_what_is_claimed(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        client = browser(officer)
        refused = client.post(page("list_claimed"), {"disbursement": released.pk})
        assert refused.status_code == 409
        person = claiming.person_of(released, 2).beneficiary
        person.destinations.create(script_pubkey=factories.make_script(), created_by=officer)
        answer = client.post(page("list_claimed"), {"disbursement": released.pk})
        made = Disbursement.objects.latest("pk")
        assert answer["Location"] == reverse("admin:payments_disbursement_change", args=[made.pk])
        assert (made.status, made.total_sat) == ("draft", 60_000)

    def test_waits_on_the_first_page_until_a_list_has_it(
        self, browser: Browser, released: Disbursement, officer: User
    ) -> None:
        def shown() -> bool:
            return "Claims to be listed" in browser(officer).get(reverse("admin:index")).content.decode()

        slip = claim_links.print_slips(by=officer, disbursement_id=released.pk)[0]
        assert not shown()
        line = Entitlement.objects.get(payment__beneficiary=slip.link.enrollment.beneficiary).payment.line
        claims.bring(
            secret=slip.secret,
            national_id=claiming.NATIONAL_ID.format(line),
            code=claim_links.hand_code(by=officer, enrollment_id=slip.link.enrollment_id),
            address=address.address_from_script(factories.make_script(), network.current()),
        )
        assert shown()
        browser(officer).post(page("list_claimed"), {"disbursement": released.pk})
        assert not shown()
