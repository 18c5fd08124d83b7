"""Other rails in the admin: a treasurer carries files and reports, and an agent pays vouchers out at a desk."""

import io
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from ledger.models import AuditEvent
from payments.models import BankAccount, BankFile, BankReport, Disbursement, Program, Quote, Rail, Voucher
from payments.rails import iban
from payments.services import bank_accounts, bank_writing, disbursements, voucher_codes, vouchers
from tests import banking, factories, railing

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
BRING = "admin:payments_bankfile_bring_report"
DESK = "admin:payments_voucher_redeem"


@pytest.fixture
def money(db: None) -> Program:
    return railing.make_money()


@pytest.fixture
def cast(money: Program) -> railing.Cast:
    return railing.make_cast(money)


def upload(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("pain.002.xml", data, "application/xml")


class TestBankFiles:
    @pytest.fixture
    def made(self, money: Program, cast: railing.Cast) -> BankFile:
        railing.release(railing.draft(money, cast, Rail.BANK), cast)
        return BankFile.objects.get()

    def page(self, made: BankFile, verb: str) -> str:
        return f"/admin/payments/bankfile/{made.pk}/{verb}/"

    def test_are_taken_to_the_bank_once_they_are_written(
        self, browser: Browser, made: BankFile, cast: railing.Cast
    ) -> None:
        treasurer = browser(cast[3])
        assert "Take to the bank" not in treasurer.get(self.page(made, "change")).content.decode()
        refused = treasurer.post(self.page(made, "download"))
        assert (refused.status_code, BankFile.objects.get().status) == (409, "waiting")
        bank_writing.write(made.pk)
        assert "Take to the bank" in treasurer.get(self.page(made, "change")).content.decode()
        asked = treasurer.get(self.page(made, "download")).content.decode()
        assert "30,000.00 PKR" in asked
        assert BankFile.objects.get().status == "ready"
        answer = treasurer.post(self.page(made, "download"))
        data = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
        assert len(banking.read(data)["transfers"]) == 3
        assert answer["Cache-Control"].startswith("no-store")
        assert answer["Content-Disposition"] == f'attachment; filename="{made.message_id}.xml"'
        assert (BankFile.objects.get().status, BankFile.objects.get().fetched_by) == ("fetched", cast[3])
        assert AuditEvent.objects.filter(action="bank_file.fetch", actor=cast[3].username).count() == 1

    def test_are_for_treasurers_alone(self, browser: Browser, made: BankFile, cast: railing.Cast) -> None:
        bank_writing.write(made.pk)
        for other in cast[:3]:
            client = browser(other)
            assert "Take to the bank" not in client.get(self.page(made, "change")).content.decode()
            assert client.post(self.page(made, "download")).status_code == 403
            assert client.get(reverse(BRING)).status_code == 403
        stranger = factories.make_member(factories.make_program("OTHER"), "treasurer")
        assert browser(stranger).post(self.page(made, "download")).status_code == 404
        assert BankFile.objects.get().status == "ready"

    def test_are_answered_by_a_report_that_is_taken_once(
        self, browser: Browser, money: Program, made: BankFile, cast: railing.Cast
    ) -> None:
        bank_writing.write(made.pk)
        _, file = bank_writing.fetch(by=cast[3], bank_file_id=made.pk)
        data = file.read()
        ids = [each["id"] for each in banking.read(data)["transfers"]]
        report = banking.answer(data, {ids[0]: ("ACSC", ""), ids[1]: ("RJCT", "AC04")}).getvalue()
        treasurer, body = browser(cast[3]), {"program": money.pk}
        wrong = treasurer.post(reverse(BRING), body | {"file": upload(b"<nothing/>")})
        assert (wrong.status_code, BankReport.objects.count()) == (422, 0)
        answer = treasurer.post(reverse(BRING), body | {"file": upload(report)}, follow=True)
        assert "The bank has paid 1 and rejected 1 transfers." in answer.content.decode()
        assert answer.redirect_chain[-1][0] == self.page(made, "change")
        assert "AC04" in answer.content.decode()
        again = treasurer.post(reverse(BRING), body | {"file": upload(report)})
        assert again.status_code == 422
        assert "This very report was taken before." in again.content.decode()
        assert BankReport.objects.count() == 1

    def test_are_not_answered_by_a_report_on_another_programs_file(
        self, browser: Browser, money: Program, made: BankFile, cast: railing.Cast
    ) -> None:
        bank_writing.write(made.pk)
        _, file = bank_writing.fetch(by=cast[3], bank_file_id=made.pk)
        report = banking.answer(file.read(), group="ACSC").getvalue()
        other = factories.make_program("OTHER")
        stranger = factories.make_member(other, "treasurer")
        answer = browser(stranger).post(reverse(BRING), {"program": other.pk, "file": upload(report)})
        assert answer.status_code == 422
        assert "bank_file_elsewhere" in answer.content.decode()
        # Nor is the other program one that they may choose.
        answer = browser(stranger).post(
            reverse(BRING), {"program": money.pk, "file": upload(io.BytesIO(report).getvalue())}
        )
        assert (answer.status_code, BankReport.objects.count()) == (422, 0)


class TestList:
    """The pages of a list say on which rail it is paid, and nothing of bitcoin where it is another."""

    OF_BITCOIN = ("Take a quote", "No quote", "In the wallet", "Free in the wallet", "Without an address")

    def page(self, made: Disbursement, verb: str) -> str:
        return f"/admin/payments/disbursement/{made.pk}/{verb}/"

    def test_is_paid_as_its_officer_chooses(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        made = factories.make_disbursement(money, cast[0], amounts_minor=railing.AMOUNTS)
        officer = browser(cast[0])
        assert "Choose how it is paid" in officer.get(self.page(made, "change")).content.decode()
        wrong = officer.post(self.page(made, "rail"), {"rail": "cash"})
        assert (wrong.status_code, Disbursement.objects.get().rail) == (422, "bitcoin")
        answer = officer.post(self.page(made, "rail"), {"rail": "voucher"}, follow=True)
        assert "is paid so: Vouchers." in answer.content.decode()
        assert set(made.payments.values_list("rail", flat=True)) == {"voucher"}
        railing.agree(Disbursement.objects.get(), cast)
        assert "Choose how it is paid" not in officer.get(self.page(made, "change")).content.decode()
        assert officer.post(self.page(made, "rail"), {"rail": "bank"}).status_code == 409

    def test_is_chosen_by_nobody_else(self, browser: Browser, money: Program, cast: railing.Cast) -> None:
        made = factories.make_disbursement(money, cast[0], amounts_minor=railing.AMOUNTS)
        for other in (*cast[1:], factories.make_member(money, "officer", "another")):
            client = browser(other)
            assert "Choose how it is paid" not in client.get(self.page(made, "change")).content.decode()
            assert client.get(self.page(made, "rail")).status_code == 403
            assert client.post(self.page(made, "rail"), {"rail": "bank"}).status_code == 403
        assert Disbursement.objects.get().rail == "bitcoin"

    @pytest.mark.parametrize(("rail", "name"), [(Rail.BANK, "Bank file"), (Rail.VOUCHER, "Vouchers")])
    def test_is_approved_and_released_without_a_word_of_bitcoin(
        self, browser: Browser, money: Program, cast: railing.Cast, rail: str, name: str
    ) -> None:
        _, approver, releaser, _ = cast
        made = disbursements.submit(by=cast[0], disbursement_id=railing.draft(money, cast, rail).pk)
        form = {"manifest_hash": bytes(made.manifest_hash or b"").hex(), "quote_id": ""}
        for user, verb in ((approver, "approve"), (releaser, "release")):
            client = browser(user)
            change = client.get(self.page(made, "change")).content.decode()
            shown = client.get(self.page(made, verb)).content.decode()
            assert name in change
            assert name in shown
            assert [text for text in self.OF_BITCOIN if text in change + shown] == []
            assert client.post(self.page(made, verb), form).status_code == 302
        assert Disbursement.objects.get().status == "released"
        assert Quote.objects.count() == 0

    def test_leads_to_its_files_and_they_to_it(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        made = railing.release(railing.draft(money, cast, Rail.BANK), cast)
        file = BankFile.objects.get()
        client = browser(cast[3])
        shown = client.get(self.page(made, "change")).content.decode()
        assert "A treasurer takes its file to the bank" in shown
        assert f"/admin/payments/bankfile/{file.pk}/change/" in shown
        assert "The engine seals" not in shown
        shown = client.get(f"/admin/payments/bankfile/{file.pk}/change/").content.decode()
        assert self.page(made, "change") in shown
        assert f"Bank file {file.pk}" in shown
        listed = client.get(f"/admin/payments/bankfile/?q={file.message_id}").content.decode()
        assert f"/admin/payments/bankfile/{file.pk}/change/" in listed

    def test_counts_its_vouchers(self, browser: Browser, money: Program, cast: railing.Cast) -> None:
        made = railing.release(railing.draft(money, cast, Rail.VOUCHER), cast)
        slips = vouchers.issue(by=cast[0], disbursement_id=made.pk)
        agent = factories.make_member(money, "agent")
        vouchers.redeem(by=agent, program_id=money.pk, code=slips[0].code)
        client = browser(cast[0])
        shown = client.get(self.page(made, "change")).content.decode()
        assert "An officer prints the slips" in shown
        for text in ("Redeemed", "Issued", "14,500.00 PKR", "15,500.00 PKR"):
            assert text in shown, text
        listed = client.get(f"/admin/payments/voucher/?disbursement={made.pk}").content.decode()
        assert f"Voucher {slips[0].voucher_id}" in listed

    def test_prints_slips_whose_picture_any_telephone_reads(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        made = railing.release(railing.draft(money, cast, Rail.VOUCHER), cast)
        page = reverse("admin:payments_voucher_print_slips")
        shown = browser(cast[0]).post(page, {"disbursement": made.pk}).content.decode()
        assert Voucher.objects.filter(status="issued").count() == 3
        widths = [int(width) for width in re.findall(r'<svg [^>]*\bwidth="(\d+)"', shown)]
        # 21 modules, the fewest that a QR code has, which a Micro QR code does not, and four on each side, drawn by fours.
        assert widths == [(21 + 2 * 4) * 4] * 3

    def test_says_of_a_payment_that_it_was_sent_and_has_arrived(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        made = railing.release(railing.draft(money, cast, Rail.VOUCHER), cast)
        slips = vouchers.issue(by=cast[0], disbursement_id=made.pk)
        vouchers.redeem(by=factories.make_member(money, "agent"), program_id=money.pk, code=slips[0].code)
        client = browser(cast[0])
        for line, status in ((1, "settled"), (2, "sent")):
            payment = made.payments.get(line=line)
            shown = client.get(f"/admin/payments/payment/{payment.pk}/change/").content.decode()
            assert re.search(rf'class="gp-label gp-\w+">{status}<', shown), status
            assert "Vouchers" in shown
            # What is on its way cannot be held, so nobody is offered to.
            assert f"/admin/payments/payment/{payment.pk}/hold/" not in shown


class TestDesk:
    @pytest.fixture
    def codes(self, money: Program, cast: railing.Cast) -> list[str]:
        made = railing.release(railing.draft(money, cast, Rail.VOUCHER), cast)
        return [slip.code for slip in vouchers.issue(by=cast[0], disbursement_id=made.pk)]

    @pytest.fixture
    def agent(self, money: Program) -> User:
        return factories.make_member(money, "agent")

    def test_pays_a_code_once(self, browser: Browser, money: Program, codes: list[str], agent: User) -> None:
        client = browser(agent)
        typed = {"program": money.pk, "code": codes[0].lower().replace("-", " ")}
        answer = client.post(reverse(DESK), typed, follow=True)
        assert "Pay out 14,500.00 PKR." in answer.content.decode()
        paid = Voucher.objects.get(status="redeemed")
        assert paid.redeemed_by == agent
        again = client.post(reverse(DESK), typed)
        assert again.status_code == 409
        assert "Pay out" not in again.content.decode().replace("Pay out only what", "")
        mistyped = client.post(reverse(DESK), {"program": money.pk, "code": "0000"})
        assert mistyped.status_code == 422
        assert Voucher.objects.filter(status="redeemed").count() == 1

    def test_closes_after_codes_that_no_voucher_has(
        self, browser: Browser, money: Program, codes: list[str], agent: User
    ) -> None:
        client = browser(agent)
        for _ in range(vouchers.MOST_MISSES):
            body = {"program": money.pk, "code": voucher_codes.make()}
            assert client.post(reverse(DESK), body).status_code == 409
        answer = client.post(reverse(DESK), {"program": money.pk, "code": codes[0]})
        assert answer.status_code == 403
        assert "this desk opens again" in answer.content.decode()
        assert not Voucher.objects.filter(status="redeemed").exists()

    def test_shows_agents_the_desk_and_no_voucher(
        self, browser: Browser, codes: list[str], agent: User
    ) -> None:
        client = browser(agent)
        listed = client.get("/admin/payments/voucher/")
        assert (listed.status_code, listed["Location"]) == (302, reverse(DESK))
        assert reverse("admin:payments_voucher_changelist") in client.get("/admin/").content.decode()
        voucher = Voucher.objects.order_by("pk")[0]
        page = client.get(f"/admin/payments/voucher/{voucher.pk}/change/")
        assert page.status_code in (302, 404)
        assert client.get(f"/admin/payments/payment/{voucher.payment_id}/change/").status_code in (
            302,
            403,
            404,
        )

    def test_is_for_agents_alone(self, browser: Browser, codes: list[str], cast: railing.Cast) -> None:
        for other in cast:
            assert browser(other).get(reverse(DESK)).status_code == 403


class TestSlips:
    @pytest.mark.parametrize(("language", "direction"), [("en", "ltr"), ("ur", "rtl")])
    def test_show_each_code_once_in_the_language_of_the_program(
        self, browser: Browser, money: Program, cast: railing.Cast, language: str, direction: str
    ) -> None:
        Program.objects.update(language=language)
        made = railing.release(railing.draft(money, cast, Rail.VOUCHER), cast)
        client, address = browser(cast[0]), reverse("admin:payments_voucher_print_slips")
        answer = client.post(address, {"disbursement": made.pk})
        text = answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        assert text.count(f'<section lang="{language}" dir="{direction}">') == len(railing.AMOUNTS)
        assert text.count("<svg") == len(railing.AMOUNTS)
        assert ("A paying agent takes it once" in text) is (language == "en")
        codes = re.findall(r"<code>([^<]+)</code>", text)
        kept = {bytes(row) for row in Voucher.objects.values_list("code_hash", flat=True)}
        assert {voucher_codes.digest(voucher_codes.read(code)) for code in codes} == kept
        again = client.post(address, {"disbursement": made.pk})
        assert again.status_code in (302, 409, 422)
        assert "<svg" not in again.content.decode()


class TestCancelling:
    """Two people take a voucher back on its page."""

    @pytest.fixture
    def voucher(self, money: Program, cast: railing.Cast) -> Voucher:
        made = railing.release(railing.draft(money, cast, Rail.VOUCHER), cast)
        vouchers.issue(by=cast[0], disbursement_id=made.pk)
        return Voucher.objects.order_by("pk")[0]

    def page(self, voucher: Voucher, verb: str) -> str:
        return f"/admin/payments/voucher/{voucher.pk}/{verb}/"

    @pytest.mark.parametrize("is_replaced", [True, False])
    def test_is_asked_for_by_one_and_decided_by_another(
        self, browser: Browser, voucher: Voucher, cast: railing.Cast, is_replaced: bool
    ) -> None:
        officer, approver = browser(cast[0]), browser(cast[1])
        change, ask, cancel = (self.page(voucher, verb) for verb in ("change", "ask-to-cancel", "cancel"))
        assert ask in officer.get(change).content.decode()
        assert officer.post(ask, {"note": ""}).status_code == 422
        answer = officer.post(ask, {"note": "The slip was lost."}, follow=True)
        assert "Somebody else decides" in answer.content.decode()
        assert cancel not in answer.content.decode()
        assert officer.post(cancel, {}).status_code == 403
        assert "The slip was lost." in approver.get(cancel).content.decode()
        answer = approver.post(cancel, {"is_replaced": "on"} if is_replaced else {}, follow=True)
        voucher.refresh_from_db()
        assert (voucher.status, voucher.cancelled_by) == ("cancelled", cast[1])
        assert Voucher.objects.filter(replaces=voucher).count() == is_replaced
        assert ("stands in for it." in answer.content.decode()) == is_replaced
        assert voucher.payment.status == ("pending" if is_replaced else "voided")
        assert [officer.get(page).status_code for page in (ask, cancel)] == [403, 403]

    def test_is_offered_to_nobody_else(self, browser: Browser, voucher: Voucher, cast: railing.Cast) -> None:
        ask, cancel = (self.page(voucher, verb) for verb in ("ask-to-cancel", "cancel"))
        for other in cast[1:]:
            client = browser(other)
            shown = client.get(self.page(voucher, "change")).content.decode()
            assert [page in shown for page in (ask, cancel)] == [False, False]
            assert [client.get(page).status_code for page in (ask, cancel)] == [403, 403]
            assert client.post(ask, {"note": "Lost."}).status_code == 403
        voucher.refresh_from_db()
        assert (voucher.status, voucher.cancel_asked_by) == ("issued", None)


class TestAccounts:
    """An officer brings people's first accounts."""

    PAGE = "/admin/payments/bankaccount/bring/"

    def test_are_taken_whole_or_not_at_all(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        one, two = (factories.make_enrollment(money).reference for _ in range(2))
        officer, head = browser(cast[0]), "reference,title,iban\n"
        assert self.PAGE in officer.get("/admin/payments/bankaccount/").content.decode()
        bad = f"{head}{one},Ana,{banking.iban(1)}\n{two},,PK00\n"
        answer = officer.post(self.PAGE, {"program": money.pk, "file": upload(bad.encode())})
        assert (answer.status_code, BankAccount.objects.count()) == (422, 0)
        for text in ("iban_malformed", "title_malformed"):
            assert text in answer.content.decode()
        good = f"{head}{one},Ana,{banking.iban(1)}\n{two},Bo,{banking.iban(2)}\n"
        answer = officer.post(self.PAGE, {"program": money.pk, "file": upload(good.encode())}, follow=True)
        assert "2 people have an account now." in answer.content.decode()
        assert BankAccount.objects.filter(is_current=True).count() == 2

    def test_are_brought_by_officers_alone(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        for other in cast[1:]:
            client = browser(other)
            assert self.PAGE not in client.get("/admin/payments/bankaccount/").content.decode()
            assert client.get(self.PAGE).status_code == 403
            assert client.post(self.PAGE, {"program": money.pk, "file": upload(b"x")}).status_code == 403
        assert BankAccount.objects.count() == 0

    def test_are_changed_by_two_people(self, browser: Browser, money: Program, cast: railing.Cast) -> None:
        person = factories.make_enrollment(money)
        old = banking.make_account(person.beneficiary, cast[0], number=1)
        officer, approver = browser(cast[0]), browser(cast[1])
        change = reverse("admin:payments_enrollment_change_account", args=[person.pk])
        given = {"title": "Ana", "iban": banking.iban(2), "bic": "", "note": "She moved."}
        refused = officer.post(change, given | {"iban": "PK00"})
        assert (refused.status_code, "iban_malformed" in refused.content.decode()) == (422, True)
        shown = officer.post(change, given, follow=True).content.decode()
        assert "is paid at the old account until somebody else confirms." in shown
        made = BankAccount.objects.get(replaces=old)
        pages = {
            verb: reverse(f"admin:payments_bankaccount_{verb}", args=[made.pk])
            for verb in ("change", "confirm", "refuse")
        }
        for hidden in (banking.iban(2), "&#x27;Ana&#x27;"):
            assert hidden not in shown
            assert hidden not in approver.get("/admin/payments/bankaccount/").content.decode()
        assert iban.masked(banking.iban(2)) in shown
        assert (pages["confirm"] in shown, pages["refuse"] in shown) == (False, True)
        own = officer.post(pages["confirm"])
        assert (own.status_code, BankAccount.objects.get(is_current=True)) == (403, old)
        home = approver.get("/admin/").content.decode()
        assert "Bank accounts to decide" in home
        waiting = approver.get("/admin/payments/bankaccount/?waits=yes").content.decode()
        assert pages["change"] in waiting
        assert reverse("admin:payments_bankaccount_change", args=[old.pk]) not in waiting
        assert pages["confirm"] in approver.get(pages["change"]).content.decode()
        asked = approver.get(pages["confirm"]).content.decode()
        assert "She moved." in asked
        assert approver.post(pages["confirm"]).status_code == 302
        assert BankAccount.objects.get(is_current=True) == made
        assert approver.post(pages["confirm"]).status_code == 409
        assert "Bank accounts to decide" not in approver.get("/admin/").content.decode()

    def test_that_are_refused_leave_the_old_one(
        self, browser: Browser, money: Program, cast: railing.Cast
    ) -> None:
        person = factories.make_enrollment(money)
        old = banking.make_account(person.beneficiary, cast[0], number=1)
        made = bank_accounts.propose(
            by=cast[0], enrollment_id=person.pk, title="Ana", iban=banking.iban(2), note="She moved."
        )
        address = reverse("admin:payments_bankaccount_refuse", args=[made.pk])
        assert browser(cast[3]).post(address, {"note": "No."}).status_code == 403
        assert browser(cast[1]).post(address, {"note": ""}).status_code == 422
        assert browser(cast[1]).post(address, {"note": "Nobody knows of it."}).status_code == 302
        made.refresh_from_db()
        assert (made.is_current, made.decided_by) == (False, cast[1])
        assert BankAccount.objects.get(is_current=True) == old
