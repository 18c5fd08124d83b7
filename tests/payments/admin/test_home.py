"""The first page: figures that tie to the books and to filtered lists, the weather, the switch, and how it is kept live."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from govpay.models import FailedLogin, UserSession
from ledger import chart
from ledger.books import days
from ledger.models import Account, AuditEvent, Case, ReconciliationRun
from payments.admin import home
from payments.models import Block, Disbursement, MempoolLook, NodeStatus, Payment, Payout, Program
from payments.payout import alarms
from payments.services import stops
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
HOME = reverse("admin:index")
LIVE = reverse(home.ADDRESS)
AS_PART = {"HTTP_HX_REQUEST": "true"}


def page(client: Client) -> str:
    answer = client.get(HOME)
    assert answer.status_code == 200
    return answer.content.decode()


def plain(cell: Any) -> str:
    return re.sub("<[^>]*>", "", str(cell))


def link(cell: Any) -> str:
    (found,) = re.findall('href="([^"]*)"', str(cell))
    return found.replace("&amp;", "&")


def table(client: Client, title: str) -> Any:
    context = client.get(HOME).context
    (found,) = [
        each
        for each in [*context["tables"], *context["balances"], *context["pipeline"]]
        if each.title == title
    ]
    return found


def ask(client: Client, text: str) -> Any:
    """Ask for the part with the address that a page gives."""
    (url,) = re.findall(f'hx-get="({LIVE}[^"]*)"', text)
    return client.get(url.replace("&amp;", "&"), **AS_PART)  # type: ignore[arg-type]


def may_read_books(user: User) -> User:
    user.user_permissions.add(Permission.objects.get(codename="view_entry"))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


class TestBalances:
    def test_are_those_of_the_accounts_that_they_lead_to(
        self, furnished: dict[str, Any], program: Program, auditor: User, browser: Browser
    ) -> None:
        client = browser(may_read_books(auditor))
        for _ in range(2):
            (row,) = table(client, "Balances in the books").rows
            # Booked at the deposit and at the release; the payouts of the scene are not.
            total = f"-{furnished['disbursement'].total_sat:,} sat"
            assert [plain(cell) for cell in row[1:]] == ["10,000,000 sat", "0 sat", total, "0 sat"]
            for cell, code in zip(row[1:4], chart.program_accounts(program.pk)[:3], strict=True):
                shown = client.get(link(cell))
                assert shown.context["original"].code == code
                assert f'<span class="gl-number">{plain(cell)}</span>' in shown.content.decode()
            days.add_up()

    def test_lead_nobody_to_books_that_are_closed_to_them(
        self, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        found = table(client, "Balances in the books")
        assert plain(found.rows[0][1]) == "10,000,000 sat"
        assert "href" not in found.rows[0][1]
        assert "/admin/ledger/" not in page(client)

    def test_are_of_ones_own_programs(
        self, furnished: dict[str, Any], outsider: User, browser: Browser
    ) -> None:
        (row,) = table(browser(outsider), "Balances in the books").rows
        assert [plain(cell) for cell in row] == ["OTHER", "0 sat", "0 sat", "0 sat", "0 sat"]

    def test_of_a_program_of_money_are_in_both(self, auditor: User, browser: Browser) -> None:
        rupees = factories.make_program("RUPEES", currency="PKR")
        factories.make_member(rupees, "auditor", "rupee-auditor")
        client = browser(User.objects.get(username="rupee-auditor"))
        (row,) = table(client, "Balances in the books").rows
        assert [plain(cell) for cell in row[1:]] == ["0 sat", "0 sat", "0.00 PKR", "0 sat"]


class TestPipeline:
    def test_counts_what_the_filtered_lists_show(
        self, furnished: dict[str, Any], program: Program, officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        made = scenes.approved(
            program, officer, factories.make_member(program, "approver", "another"), period="2027-01"
        )
        payout = scenes.make_payout(made, list(Payment.objects.filter(disbursement=made)[:1]))
        Payout.objects.filter(pk=payout.pk).update(status="settled")
        # Of another program, whose member this is not.
        other = factories.make_program("OTHER")
        factories.make_disbursement(other, factories.make_member(other, "officer", "elsewhere"))
        for title, model, sat in (
            ("Payouts by state", Payout, "payments_sat"),
            ("Lists by state", Disbursement, "total_sat"),
        ):
            rows = table(client, title).rows
            assert len(rows) == 2
            for state, count, payments, amount in rows:
                listed = client.get(link(state)).context["cl"].result_list
                assert plain(count) == str(len(listed)) == "1"
                assert plain(payments) == f"{sum(row.payment_count for row in listed):,}"
                assert plain(amount) == f"{sum(getattr(row, sat) for row in listed):,} sat"
                assert model.objects.filter(pk__in=[row.pk for row in listed]).count() == 1

    @pytest.mark.parametrize("role", ["helpdesk", "security"])
    def test_and_balances_are_not_for_those_who_see_no_lists(
        self, role: str, furnished: dict[str, Any], program: Program, browser: Browser
    ) -> None:
        context = browser(factories.make_member(program, role)).get(HOME).context
        assert (context["balances"], context["pipeline"]) == ([], [])
        assert (context["switch"], context["climate"]) == (None, None)


class TestBreaks:
    @pytest.fixture
    def case(self, program: Program) -> Case:
        now = timezone.now()
        run = ReconciliationRun.objects.create(
            scope=program.scope, status="breaks", digest=bytes(32), started_at=now, finished_at=now
        )
        return Case.objects.create(
            scope=program.scope,
            kind="amount",
            unit="payment 7",
            message="One satoshi is missing.",
            amount_sat=-1,
            first_run=run,
            last_run=run,
            opened_at=now - timedelta(days=3),
        )

    def test_wait_for_those_who_may_resolve_them(
        self, case: Case, program: Program, auditor: User, officer: User, browser: Browser
    ) -> None:
        solver = may_read_books(auditor)
        assert "Breaks to resolve" not in page(browser(solver))
        solver.user_permissions.add(Permission.objects.get(codename="resolve_case"))
        client = browser(User.objects.get(pk=solver.pk))
        (row,) = table(client, "Breaks to resolve").rows
        assert [plain(cell) for cell in row[:2]] == [f"Case {case.pk}", program.code]
        assert (plain(row[4]), row[5]) == ("-1 sat", "3 days")
        assert client.get(link(row[0])).status_code == 200
        Case.objects.update(owner=officer)
        assert "Breaks to resolve" not in page(client)


class TestLockouts:
    def test_are_told_to_those_who_unlock(self, program: Program, browser: Browser, settings: Any) -> None:
        keeper = factories.make_member(program, "security")
        limit = settings.AXES_FAILURE_LIMIT
        # Two rows of one name make one; those of a name that may go on, and of one whose time is over, make none.
        for name, failures in (("bruno", limit - 1), ("bruno", 1), ("ayesha", limit - 1), ("carmen", limit)):
            address = f"192.0.2.{FailedLogin.objects.count()}"
            FailedLogin.objects.create(username=name, ip_address=address, failures_since_start=failures)
        over = timezone.now() - timedelta(seconds=settings.GOVPAY_LOCKOUT_S + 1)
        FailedLogin.objects.filter(username="carmen").update(attempt_time=over)
        assert "locked out" not in page(browser(keeper))
        keeper.user_permissions.add(Permission.objects.get(codename="change_user"))
        client = browser(User.objects.get(pk=keeper.pk))
        (row,) = table(client, "Also waits").rows
        assert [plain(cell) for cell in row] == ["User names that are locked out", "1"]
        assert client.get(link(row[0])).status_code == 200


class TestClimate:
    def test_is_what_was_last_seen(self, furnished: dict[str, Any], auditor: User, browser: Browser) -> None:
        tip = Block.objects.get(pk=furnished["block"].pk)
        NodeStatus.objects.update(block_hash=tip.block_hash, block_height=900_123)
        Block.objects.update(time=timezone.now() - timedelta(minutes=17))
        for age, tx_count in ((90, 7), (0, 4_321)):
            MempoolLook.objects.create(
                at=timezone.now() - timedelta(minutes=age),
                tx_count=tx_count,
                vsize_vb=1_500_000,
                least_sat_kvb=1_000,
                next_sat_kvb=12_345,
            )
        client = browser(auditor)
        climate = client.get(HOME).context["climate"]
        facts = {name: plain(value) for name, value in climate.facts}
        assert facts["Newest block"] == "900,123 found 17 minutes ago"
        spoken = client.get(HOME, headers={"Accept-Language": "es"}).context["climate"].facts
        assert "900,123 encontrado hace 17 minutos" in [plain(value) for _, value in spoken]
        assert facts["Fee rate for the next 2 blocks"] == "12.345 sat/vB"
        assert facts["Fee rate within a day (144 blocks)"] == "no estimate"
        assert facts["Least that the node takes"] == "1 sat/vB"
        assert facts["Memory pool"] == "4,321 txs, 1,500,000 vB: about 1.5 blocks"
        assert [plain(cell) for cell in climate.steps.rows[-1][1:]] == [
            "12.345 sat/vB",
            "no estimate",
            "1,500,000 vB",
        ]
        assert len(climate.steps.rows) == 2

    def test_says_that_nobody_looked(self, auditor: User, browser: Browser) -> None:
        assert "Nobody has looked at the memory pool yet" in page(browser(auditor))


class TestSwitch:
    def test_leads_to_the_button_who_may_press_it(
        self, program: Program, officer: User, auditor: User, treasurer: User, browser: Browser
    ) -> None:
        throw = reverse("admin:payments_stop_throw")
        urls = {user: browser(user).get(HOME).context["switch"].url for user in (officer, auditor, treasurer)}
        assert urls == {officer: reverse("admin:payments_stop_changelist"), auditor: throw, treasurer: throw}
        stop = stops.throw(by=auditor, reason="A <drill>.")
        lift, look = (reverse(f"admin:payments_stop_{verb}", args=[stop.pk]) for verb in ("lift", "change"))
        shown = {user: browser(user).get(HOME).context["switch"] for user in (officer, auditor, treasurer)}
        assert {user: found.url for user, found in shown.items()} == {
            officer: look,
            auditor: look,
            treasurer: lift,
        }
        assert shown[officer].is_stopped
        assert "A &lt;drill&gt;." in page(browser(officer))


class TestLive:
    def test_sends_nothing_while_nothing_changes(
        self, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        answer = ask(client, page(client))
        assert (answer.status_code, answer.content) == (204, b"")

    def test_sends_what_changed_and_says_what_is_new_once(
        self, furnished: dict[str, Any], program: Program, officer: User, auditor: User, browser: Browser
    ) -> None:
        client = browser(officer)
        before = page(client)
        alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
        factories.make_disbursement(program, officer, period="2027-05")
        stops.throw(by=auditor, reason="A drill.")
        answer = ask(client, before)
        assert answer.status_code == 200
        text = answer.content.decode()
        assert "It waits." in text
        assert '<p id="live-news" class="gp-news" role="status" hx-swap-oob="innerHTML">' in text
        # That the engine stands still is an alarm as well.
        assert "2 more alarms are open. 1 more thing waits for you. The engine was stopped.</p>" in text
        assert text.count('role="status"') == 1
        assert ask(client, text).status_code == 204

    def test_has_no_news_when_there_is_less(self, program: Program, officer: User, browser: Browser) -> None:
        client = browser(officer)
        alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
        before = page(client)
        alarms.clear("payout_stuck", subject="payout", note="It moves.")
        answer = ask(client, before)
        assert answer.status_code == 200
        assert "live-news" not in answer.content.decode()

    @pytest.mark.parametrize(
        "query", ["", "seen=", "seen=x&alarms=-1&waits=٣", "alarms=" + "9" * 400, "seen=%00&stops=1e9"]
    )
    def test_takes_any_garbage_for_a_page_that_shows_nothing(
        self, query: str, officer: User, browser: Browser
    ) -> None:
        answer = browser(officer).get(f"{LIVE}?{query}", **AS_PART)  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert "Waits for you" in answer.content.decode()
        assert "live-news" not in answer.content.decode()

    def test_leaves_the_session_and_the_record_alone(
        self, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        text = page(client)
        before = list(UserSession.objects.values_list()), AuditEvent.objects.count()
        answer = ask(client, text)
        assert "Set-Cookie" not in answer.headers
        assert client.get(LIVE, **AS_PART).status_code == 200  # type: ignore[arg-type]
        assert (list(UserSession.objects.values_list()), AuditEvent.objects.count()) == before
        assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"

    def test_ends_with_the_session_and_leads_nowhere(
        self, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        text = page(client)
        UserSession.objects.all().delete()
        answer = ask(client, text)
        assert (answer.status_code, answer.content, answer["HX-Refresh"]) == (286, b"", "true")
        # A whole page is led to the login as ever.
        assert client.get(LIVE).status_code == 302

    def test_ends_where_a_second_factor_is_missing(
        self, officer: User, browser: Browser, settings: Any
    ) -> None:
        client = browser(officer)
        text = page(client)
        settings.GOVPAY_SECOND_FACTOR = "required"
        answer = ask(client, text)
        assert (answer.status_code, answer.content) == (286, b"")

    def test_is_paused_by_a_link(self, officer: User, browser: Browser) -> None:
        client = browser(officer)
        assert 'href="/admin/?live=off"' in page(client)
        paused = client.get(HOME, {"live": "off"}).content.decode()
        assert LIVE not in paused
        assert "Let it follow" in paused

    def test_is_empty_for_who_works_in_no_program(self, browser: Browser) -> None:
        client = browser(factories.make_user("nobody"))
        assert LIVE not in page(client)
        assert client.get(LIVE).status_code == 204

    def test_takes_get_only(self, officer: User, browser: Browser) -> None:
        assert browser(officer).post(LIVE).status_code == 405


class TestQueries:
    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "treasurer", "signer", "auditor"])
    def test_are_as_many_however_much_there_is(
        self, role: str, furnished: dict[str, Any], program: Program, browser: Browser
    ) -> None:
        user = may_read_books(factories.make_member(program, role, "looker"))
        user.user_permissions.add(Permission.objects.get(codename="resolve_case"))
        client = browser(user)
        maker, second = (factories.make_member(program, r, f"{r}-too") for r in ("officer", "approver"))

        def add(count: int, year: int) -> None:
            for n in range(count):
                made = scenes.approved(
                    program, maker, second, amounts_sat=[5_000], period=f"{year}-{n + 1:02}"
                )
                scenes.make_payout(made, list(Payment.objects.filter(disbursement=made)))
                alarms.sound(f"drill_{year}_{n}", subject="node", program_id=program.pk, message="A drill.")
                MempoolLook.objects.create(
                    at=timezone.now() - timedelta(hours=n), tx_count=1, vsize_vb=200, least_sat_kvb=1_000
                )

        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert client.get(HOME).status_code == 200
            return len(captured)

        add(1, 2030)
        count()
        few = count()
        add(9, 2031)
        assert count() == few

    def test_read_no_line_and_no_payment(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(may_read_books(auditor))
        days.add_up()
        with CaptureQueriesContext(connection) as captured:
            client.get(LIVE)
        asked = [query["sql"] for query in captured]
        assert [sql for sql in asked if "sum(p.amount)" in sql.lower()] == []
        # Entitlements alone look at payments: at those of claims that wait.
        of_payments = [
            sql for sql in asked if "payments_payment" in sql and "payments_entitlement" not in sql
        ]
        assert of_payments == []
        assert Account.objects.count() > 0
