"""A list's page in a real browser: at every stage, on both screens, by itself while it is paid, and without script."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser

from payments.models import Disbursement, Payment, Payout, Program
from payments.services import disbursements, holds
from payments.states import PayoutStatus
from tests import browser as browsing
from tests import factories
from tests.payments.admin import scenes, screens

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]
LONG = "Cash assistance for households in districts that the flood reached " * 2


def page(row: Disbursement, verb: str = "change") -> str:
    return reverse(f"admin:payments_disbursement_{verb}", args=[row.pk])


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own."""
    with browsing.launched(monkeypatch) as found:
        yield found


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """A list of 40 lines in 30 payouts, some of them held and one frozen, of people and a program with long names."""
    Program.objects.filter(pk=program.pk).update(name=LONG[:100].strip())
    User.objects.filter(pk=officer.pk).update(
        first_name="Ayesha Bibi of the District Office", last_name="Upper Chitral and Lower Dir"
    )
    factories.fund(program, 10_000_000)
    made = scenes.approved(program, officer, approver, amounts_sat=[50_000 + n for n in range(40)])
    lines = list(Payment.objects.filter(disbursement=made).order_by("line"))
    for line in lines[35:]:
        holds.hold(by=officer, payment_id=line.pk, note="She is said to have died in August. " * 4)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
    stages = [PayoutStatus.SETTLED, PayoutStatus.MINED, PayoutStatus.SENT] * 10
    for line, status in zip(lines, stages, strict=False):
        scenes.make_payout(made, [line], status=status)
    frozen = Payout.objects.filter(disbursement=made, status=PayoutStatus.SENT)[:1]
    Payout.objects.filter(pk__in=frozen.values("pk")).update(
        status=PayoutStatus.FROZEN, problem="A stranger spent its coin. " * 8
    )
    return Disbursement.objects.get(pk=made.pk)


def test_is_well_made_while_it_is_paid(
    live_server: Any, released: Disbursement, reader: User, chromium: Browser
) -> None:
    screens.require_well_made(chromium, live_server, reader, page(released))


def test_is_well_made_before_it_is_decided(
    live_server: Any,
    program: Program,
    officer: User,
    approver: User,
    releaser: User,
    chromium: Browser,
) -> None:
    draft = factories.make_disbursement(program, officer, period="2026-09")
    screens.require_well_made(chromium, live_server, officer, page(draft))
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    screens.require_well_made(chromium, live_server, approver, page(made))
    screens.require_well_made(chromium, live_server, approver, page(made, "approve"))
    factories.fund(program, 10_000_000)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    screens.require_well_made(chromium, live_server, releaser, page(made, "release"))


def test_moves_by_itself_and_comes_to_rest(
    live_server: Any, released: Disbursement, reader: User, chromium: Browser
) -> None:
    shown = screens.signed_in(chromium, live_server, reader)
    shown.clock.install()
    shown.goto(f"{live_server.url}{page(released)}")
    bar = shown.get_by_role("progressbar", name="Payments")
    assert bar.get_attribute("aria-valuenow") == "10"
    shown.get_by_role("link", name="Show the payments").focus()
    Payout.objects.filter(disbursement=released, status=PayoutStatus.MINED).update(
        status=PayoutStatus.SETTLED
    )
    with shown.expect_response(lambda response: response.url.endswith("/paying/")):
        shown.clock.fast_forward(5_000)
    shown.locator("[aria-valuenow='20']").wait_for()
    assert shown.evaluate("document.activeElement.textContent") == "Show the payments"
    Disbursement.objects.filter(pk=released.pk).update(status="completed")
    with shown.expect_response(lambda response: response.url.endswith("/paying/")):
        shown.clock.fast_forward(5_000)
    shown.locator("#paying:not([hx-get])").wait_for()
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.clock.fast_forward(20_000)
    shown.get_by_role("progressbar", name="Payments").wait_for()
    assert [url for url in asked if url.endswith("/paying/")] == []


def test_leads_to_the_login_when_the_session_has_ended(
    live_server: Any, released: Disbursement, reader: User, chromium: Browser
) -> None:
    shown = screens.signed_in(chromium, live_server, reader)
    shown.clock.install()
    shown.goto(f"{live_server.url}{page(released)}")
    shown.context.clear_cookies()
    shown.clock.fast_forward(5_000)
    shown.wait_for_url(lambda url: "/admin/login/?next=" in url)


def test_says_the_same_without_script(
    live_server: Any, released: Disbursement, reader: User, chromium: Browser
) -> None:
    shown = screens.signed_in(chromium, live_server, reader, java_script_enabled=False)
    shown.goto(f"{live_server.url}{page(released)}")
    bar = shown.get_by_role("progressbar", name="Payments")
    assert bar.get_attribute("aria-valuetext", timeout=5_000) == (
        "10 of 40 payments are settled. Settled: 10; Seen in a block: 10; Sent: 9; Waiting: 5; Held: 5;"
        " Frozen: a person must judge: 1."
    )
    # Nothing lies over the page.
    shown.get_by_role("link", name="Show the payments").click()
    shown.wait_for_url(lambda url: url.endswith(f"/payment/?disbursement={released.pk}"))
