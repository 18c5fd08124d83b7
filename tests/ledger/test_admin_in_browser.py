"""The books' pages in a real browser: well made on both screens, read and unfolded without script, walked by keyboard."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser

from ledger import books, chart
from ledger.books import Draft, Line, days
from ledger.models import Case, Checkpoint, ReconciliationRun, Seal
from tests import browser as browsing
from tests import factories
from tests.payments.admin import screens

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]

TREE = "/admin/ledger/account/tree/"
BOARD = "/admin/ledger/case/board/"
VERIFY = "/admin/ledger/seal/verify/"
PAGES = (
    TREE,
    f"{TREE}?at=2026-11-20&layer=settled",
    "/admin/ledger/account/trial-balance/?at=2026-11-20&layer=settled",
    BOARD,
    "/admin/ledger/seal/",
    VERIFY,
)


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own."""
    with browsing.launched(monkeypatch) as found:
        yield found


@pytest.fixture
def reader(db: None) -> User:
    """Somebody who reads the books: large amounts, cases of all ages and long names, and a seal."""
    codes, scope = chart.program_accounts(7), chart.program_scope(7)
    for program_id in range(7, 20):
        chart.open_program(program_id, money=chart.Money("PKR", 2) if program_id % 2 else None)
    lines = [Line(codes.hot_wallet, 123_456_789_012_345), Line(codes.appropriation, -123_456_789_012_345)]
    at = datetime(2026, 11, 10, tzinfo=UTC)
    books.post(
        [Draft(kind="funding", scope=scope, idempotency_key="a", lines=lines, effective_at=at, actor="e")]
    )
    days.add_up()
    now = timezone.now()
    run = ReconciliationRun.objects.create(
        scope=scope, status="breaks", digest=bytes(32), started_at=now, finished_at=now
    )
    owner = factories.make_user("ayesha.bibi.of.the.district.office.of.upper.chitral")
    for number, age in enumerate((0, 3, 20, 40, 100)):
        Case.objects.create(
            scope=scope,
            kind=("amount", "payee", "fee")[number % 3],
            unit=f"payment {number}",
            message="It differs.",
            amount_sat=9_999_999_999 * (-1) ** number,
            first_run=run,
            last_run=run,
            opened_at=now - timedelta(days=age),
            owner=owner if number % 2 else None,
        )
    seal = Seal.objects.create(start=0, size=1_234, root=bytes(32), cluster=1, horizon_xid=1, horizon_id=0)
    Checkpoint.objects.create(seal=seal, note="note", verifier="govpay.example/books+c74f20a3+" + "k" * 44)
    return factories.make_user("reader", "ledger.view_entry")


@pytest.mark.parametrize("url", PAGES)
def test_is_well_made(url: str, live_server: Any, reader: User, chromium: Browser) -> None:
    screens.require_well_made(chromium, live_server, reader, url)


def test_the_tree_is_folded_and_unfolded_without_script(
    live_server: Any, reader: User, chromium: Browser
) -> None:
    page = screens.signed_in(chromium, live_server, reader, java_script_enabled=False)
    page.goto(f"{live_server.url}{TREE}")
    wallet = page.locator("summary", has_text="HotWallet")
    account = page.get_by_role("link", name="P7", exact=True).first
    assert wallet.is_visible()
    assert page.locator(".gl-leaf", has_text="Funding wallet").first.is_hidden()
    wallet.focus()
    page.keyboard.press("Enter")
    assert page.locator(".gl-leaf", has_text="Funding wallet").first.is_visible()
    assert page.get_by_text("123,456,789,012,345 sat").first.is_visible()
    assert account.count() == 1


def test_the_board_leads_to_its_cases(live_server: Any, reader: User, chromium: Browser) -> None:
    page = screens.signed_in(chromium, live_server, reader, viewport=screens.WIDE)
    page.goto(f"{live_server.url}{BOARD}")
    page.locator(".gl-board a").first.click()
    page.wait_for_url("**/admin/ledger/case/?*")
    assert page.locator("#result_list tbody tr").count() == 1


def test_the_verify_box_says_what_is_wrong(
    live_server: Any, reader: User, chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "receipt.json"
    file.write_text('{"version": 1}')
    page = screens.signed_in(chromium, live_server, reader, viewport=browsing.PHONE)
    page.goto(f"{live_server.url}{VERIFY}")
    page.get_by_label("Receipt (.json) or pack (.zip)").set_input_files(file)
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("alert").get_by_text("The receipt is not right").wait_for()
    browsing.require_fitting(page)
    browsing.require_accessible(page)
