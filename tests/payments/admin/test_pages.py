"""Lists and pages: constant queries, exact search, empty states, masked names, and the first page."""

import re
from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from payments.models import (
    Beneficiary,
    Disbursement,
    Enrollment,
    NodeStatus,
    Payment,
    Payout,
    PayoutTx,
    Program,
    SigningRequest,
)
from payments.onchain import address
from payments.onchain.network import Network
from payments.services import destinations, grievances
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


def list_url(name: str) -> str:
    return reverse(f"admin:payments_{name}_changelist")


def rows_of(answer: Any) -> list[int]:
    return [row.pk for row in answer.context["cl"].result_list]


class TestQueries:
    @pytest.mark.parametrize(
        "name",
        [
            "enrollment",
            "beneficiary",
            "destination",
            "intake",
            "disbursement",
            "payment",
            "payout",
            "payouttx",
            "reservation",
            "statuschange",
            "membership",
        ],
    )
    def test_are_as_many_for_fifty_rows_as_for_one(
        self, name: str, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        factories.fund(program, 100_000_000)
        client = browser(officer)

        def add(count: int, year: int) -> None:
            for n in range(count):
                made = scenes.approved(
                    program, officer, approver, amounts_sat=[50_000], period=f"{year}-{n + 1:02}"
                )
                scenes.make_payout(made, list(Payment.objects.filter(disbursement=made)))
                scenes.refused_intake(program, officer, errors=made.pk)

        def queries() -> int:
            with CaptureQueriesContext(
                connection,
            ) as found:
                assert client.get(list_url(name)).status_code == 200
            return len(found)

        add(1, 2026)
        queries()
        few = queries()
        add(12, 2027)
        assert queries() == few

    def test_of_a_page_do_not_grow_with_the_list(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        factories.fund(program, 100_000_000)
        client = browser(officer)
        found = []
        for period, count in (("2026-01", 1), ("2026-02", 50)):
            made = scenes.approved(program, officer, approver, amounts_sat=[50_000] * count, period=period)
            page = reverse("admin:payments_disbursement_change", args=[made.pk])
            client.get(page)
            with CaptureQueriesContext(connection) as captured:
                assert client.get(page).status_code == 200
            found.append(len(captured))
        assert found[0] == found[1]

    def test_never_count_all_rows(self, furnished: dict[str, Any], auditor: User, browser: Browser) -> None:
        with CaptureQueriesContext(connection) as captured:
            browser(auditor).get(list_url("payment"))
        counts = [q["sql"] for q in captured if "COUNT(" in q["sql"] and "payments_payment" in q["sql"]]
        assert counts != []
        assert all("LIMIT 10000" in sql for sql in counts)


class TestSearch:
    def test_finds_a_payment_by_reference_txid_address_and_number(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        payment: Payment = furnished["payment"]
        payout = furnished["payout"]
        reference = Enrollment.objects.get(beneficiary=payment.beneficiary).reference
        paid_to = address.address_from_script(bytes(payment.script_pubkey or b""), Network.REGTEST)
        both = [payment.pk + 1, payment.pk]
        for term, expected in (
            (reference, [payment.pk]),
            (paid_to, [payment.pk]),
            (paid_to.upper(), [payment.pk]),
            (str(payment.pk), [payment.pk]),
            (payout.current.txid, both),
            (payout.current.txid.upper(), both),
            ("nothing", []),
            ("9" * 30, []),
            ("٣", []),
            ("%' OR 1=1 --", []),
        ):
            assert rows_of(client.get(list_url("payment"), {"q": term})) == expected, term

    @pytest.mark.parametrize(
        ("name", "term"),
        [
            ("payout", "current.txid"),
            ("payouttx", "txid"),
            ("chainfact", "txid"),
            ("reservation", "txid"),
            ("coin", "txid"),
            ("block", "block_hash"),
            ("enrollment", "reference"),
        ],
    )
    def test_finds_exactly_one_row(
        self, name: str, term: str, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        row = furnished[name]
        answer = browser(auditor).get(list_url(name), {"q": attrgetter(term)(row)})
        assert rows_of(answer) == [row.pk]

    def test_survives_every_list_with_garbage(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        for name in furnished.keys() - {"alarm", "stop"}:
            for term in ("\x00", "9" * 40, "é" * 300, "' OR 1=1 --", "ff" * 32, "%", "٣"):
                assert client.get(list_url(name), {"q": term}).status_code == 200, (name, term)


class TestFilter:
    @pytest.mark.parametrize(
        ("name", "query", "found"),
        [
            ("payment", {"status__exact": "pending"}, 3),
            ("payment", {"status__exact": "held"}, 0),
            ("payment", {"chain": "sent"}, 2),
            ("payment", {"chain": "none"}, 1),
            ("payment", {"payout": "garbage"}, 0),
            ("disbursement", {"problem": "yes"}, 0),
            ("disbursement", {"problem": "no"}, 1),
            ("statuschange", {"subject": "disbursement"}, 3),
            ("intake", {"status__exact": "refused"}, 2),
            ("payment", {"program": "9" * 30}, 0),
        ],
    )
    def test_keeps_what_was_asked_for(
        self,
        name: str,
        query: dict[str, str],
        found: int,
        furnished: dict[str, Any],
        auditor: User,
        browser: Browser,
    ) -> None:
        assert len(rows_of(browser(auditor).get(list_url(name), query))) == found

    def test_leads_from_a_list_to_its_payments(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        row: Disbursement = furnished["disbursement"]
        page = client.get(reverse("admin:payments_disbursement_change", args=[row.pk]))
        link = f"{list_url('payment')}?disbursement={row.pk}"
        assert link in page.content.decode()
        assert len(rows_of(client.get(link))) == 3


class TestEmpty:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("enrollment", "An officer uploads a file of people"),
            ("disbursement", "uploads one with New list"),
            ("payment", "payments are the lines of a list"),
            ("payout", "once a list is released"),
            ("coin", "send test coins to the funding address"),
        ],
    )
    def test_says_what_to_do_next(self, name: str, text: str, officer: User, browser: Browser) -> None:
        assert text in browser(officer).get(list_url(name)).content.decode()


class TestPersonalData:
    def test_is_masked_in_lists_and_whole_on_the_page(
        self, program: Program, auditor: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        person = row.beneficiary
        person.personal = {"full_name": "Ayesha Bibi", "phone": "+923001234567"}
        person.save()
        client = browser(auditor)
        for name in ("beneficiary", "enrollment"):
            shown = client.get(list_url(name)).content.decode()
            assert "A••••• B•••" in shown
            assert "Ayesha" not in shown
        shown = client.get(reverse("admin:payments_beneficiary_change", args=[person.pk])).content.decode()
        assert "Ayesha Bibi" in shown
        assert "+923001234567" in shown

    def test_is_masked_for_a_superuser_who_is_no_member(self, program: Program, browser: Browser) -> None:
        person = factories.make_enrollment(program).beneficiary
        page = reverse("admin:payments_beneficiary_change", args=[person.pk])
        shown = browser(User.objects.create_superuser("root")).get(page).content.decode()
        assert person.personal["full_name"] not in shown
        assert "P•••••" in shown

    def test_shows_only_the_users_own_program_of_a_person_in_two(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        person = factories.make_enrollment(program, reference="MINE").beneficiary
        other = factories.make_program("OTHER")
        Enrollment.objects.create(program=other, beneficiary=person, reference="THEIRS", created_by=officer)
        client = browser(officer)
        page = reverse("admin:payments_beneficiary_change", args=[person.pk])
        for url in (list_url("beneficiary"), page):
            shown = client.get(url).content.decode()
            assert "MINE" in shown
            assert "THEIRS" not in shown
        assert rows_of(client.get(list_url("beneficiary"), {"q": "THEIRS"})) == []

    def test_that_cannot_be_read_is_a_sentence_on_the_screen(
        self, program: Program, officer: User, browser: Browser, settings: Any
    ) -> None:
        person = factories.make_enrollment(program).beneficiary
        settings.GOVPAY_FIELD_KEYS = {"other": b"\x01" * 32}
        client = browser(officer)
        for url in (
            list_url("enrollment"),
            list_url("beneficiary"),
            reverse("admin:payments_beneficiary_change", args=[person.pk]),
        ):
            answer = client.get(url)
            assert answer.status_code == 500
            assert "a key that GOVPAY_FIELD_KEYS does not hold" in answer.content.decode()
        assert client.get(list_url("payment")).status_code == 200
        assert Beneficiary.objects.count() == 1

    def test_with_markup_in_it_is_only_text(self, program: Program, officer: User, browser: Browser) -> None:
        person = factories.make_enrollment(program).beneficiary
        person.personal = {"full_name": "<script>alert(1)</script>", "phone": "<b>"}
        person.save()
        page = reverse("admin:payments_beneficiary_change", args=[person.pk])
        shown = browser(officer).get(page).content.decode()
        assert "<script>alert(1)" not in shown
        assert "&lt;script&gt;alert(1)" in shown


class TestHome:
    def test_says_what_waits_for_whom(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        factories.fund(program, 10_000_000)
        scenes.approved(program, officer, approver, period="2026-10")
        factories.make_disbursement(program, officer, period="2026-12")
        releaser = factories.make_member(program, "releaser")
        for user, period in ((officer, "2026-12"), (releaser, "2026-10")):
            tables = browser(user).get(reverse("admin:index")).context["tables"]
            assert [row[2] for row in tables[0].rows] == [f"{period} pension"]
        assert browser(approver).get(reverse("admin:index")).context["tables"][0].rows == []

    def test_says_what_waits_to_be_carried_to_signers(
        self, furnished: dict[str, Any], program: Program, officer: User, browser: Browser
    ) -> None:
        payout = furnished["payout"]
        version = PayoutTx.objects.create(
            payout=payout,
            txid="ab" * 32,
            unsigned_tx=b"\x03",
            fee_sat=2_468,
            fee_added_sat=1_234,
            change_sat=0,
            vsize_vb=617,
            feerate_sat_kvb=4_000,
        )
        Payout.objects.filter(pk=payout.pk).update(status="committed", current=version)
        row = SigningRequest.objects.create(
            version=version, psbt="x", needed=1, deadline_at=timezone.now() + timedelta(hours=1)
        )
        title = "Waits for signers, through you"
        carrier = browser(factories.make_member(program, "signer"))
        (table,) = [t for t in carrier.get(reverse("admin:index")).context["tables"] if t.title == title]
        assert len(table.rows) == 1
        assert f"Request {row.pk}" in table.rows[0][0]
        assert title not in [t.title for t in browser(officer).get(reverse("admin:index")).context["tables"]]

    @pytest.mark.parametrize(
        ("state", "title"),
        [
            (None, "The node&#x27;s state is not known"),
            ({"is_ok": False, "message": "It is down."}, "The regtest node cannot be used"),
            ({"is_ok": False, "message": "It follows main."}, "The regtest node cannot be used"),
            ({"is_ok": True, "checked_at": "old"}, "The engine stands still"),
        ],
    )
    def test_warns_about_the_node(
        self, state: dict[str, Any] | None, title: str, officer: User, browser: Browser
    ) -> None:
        if state is not None:
            NodeStatus.objects.create(network="regtest", **{k: v for k, v in state.items() if v != "old"})
            if "checked_at" in state:
                long_ago = timezone.now() - timedelta(hours=1)
                NodeStatus.objects.update(checked_at=long_ago)
        shown = browser(officer).get(reverse("admin:index")).content.decode()
        assert title in shown
        assert (state or {}).get("message", "goes on by itself") in shown

    def test_warns_about_a_wallet_that_is_missing(self, browser: Browser) -> None:
        program = factories.make_program(is_ready=False)
        client = browser(factories.make_member(program, "officer"))
        assert "govpay-pensions" in client.get(reverse("admin:index")).content.decode()
        page = client.get(reverse("admin:payments_program_change", args=[program.pk])).content.decode()
        assert "The funding wallet is not ready" in page

    def test_counts_what_else_waits_for_whom(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        row = factories.make_enrollment(program)
        new = address.address_from_script(factories.make_script(), Network.REGTEST)
        destinations.propose(by=officer, enrollment_id=row.pk, address=new, note="A new telephone.")
        grievances.lodge_in_person(
            program_id=program.pk, reference="", national_id="", category="other", text="Help."
        )
        helpdesk = factories.make_member(program, "helpdesk")
        changes, lodged = "Changes of address to decide", "Grievances that nobody has taken"
        for user, shown in ((officer, [lodged]), (approver, [changes]), (helpdesk, [lodged])):
            client = browser(user)
            tables = client.get(reverse("admin:index")).context["tables"]
            (found,) = [table for table in tables if table.title == "Also waits"]
            assert [re.sub("<[^>]*>", "", row[0]) for row in found.rows] == shown
            for link in re.findall(r'href="([^"]*)"', "".join(row[0] for row in found.rows)):
                assert len(rows_of(client.get(link))) == 1
        assert (
            "Also waits"
            not in browser(factories.make_member(program, "auditor"))
            .get(reverse("admin:index"))
            .content.decode()
        )

    @pytest.mark.parametrize("role", ["helpdesk", "security", "auditor", "officer"])
    def test_leads_nowhere_that_is_refused(self, role: str, program: Program, browser: Browser) -> None:
        client = browser(factories.make_member(program, role))
        shown = client.get(reverse("admin:index")).content.decode()
        links = set(re.findall(r'href="(/admin/[^"]*)"', shown)) - {reverse("admin:logout")}
        assert reverse("admin:payments_program_changelist") in links
        refused = [link for link in links if client.get(link, follow=True).status_code != 200]
        assert refused == []

    def test_is_quiet_when_all_is_well(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        context = browser(auditor).get(reverse("admin:index")).context
        assert context["notices"] == []
        assert context["tables"][1].rows == []

    def test_greets_staff_without_a_program(self, browser: Browser) -> None:
        assert browser(factories.make_user("nobody")).get(reverse("admin:index")).status_code == 200

    def test_is_where_the_login_leads(self, officer: User) -> None:
        client = Client()
        data = {"username": officer.get_username(), "password": factories.PASSWORD}
        answer = client.post(reverse("admin:login"), data)
        assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))
