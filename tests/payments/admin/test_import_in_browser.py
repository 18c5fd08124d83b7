"""A file of a ministry's own making in a real browser: step by step, on both screens, by keyboard, and without script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser, Page

from payments.models import ImportJob, Program
from payments.services import importing, imports
from tests import browser as browsing
from tests.payments.admin import screens
from tests.payments.services.files import count_registry, make_csv, make_person

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]
BRING = reverse("admin:payments_importjob_bring_people")
HEADER = ("Sr.", "Beneficiary Name", "CNIC No.", "Mobile", "Ref_No", "District", "Wallet")


def rows(*persons: dict[str, str]) -> list[tuple[str, ...]]:
    names = ("full_name", "national_id", "phone", "reference")
    return [
        (
            str(n),
            *(person[name] for name in names),
            "Upper Chitral and Lower Dir, the far end",
            person["address"],
        )
        for n, person in enumerate(persons, start=1)
    ]


def page(job: ImportJob, verb: str = "change") -> str:
    return reverse("admin:payments_importjob_change", args=[job.pk]).replace("/change/", f"/{verb}/")


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own."""
    with browsing.launched(monkeypatch) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Four people under a ministry's own header, one of them with a broken address."""
    people = [*(make_person(n) for n in (1, 2, 3)), make_person(4, address="bcrt1q0", phone="1")]
    path = tmp_path / "ministry.csv"
    path.write_bytes(make_csv(HEADER, rows(*people)))
    return path


def bring(shown: Page, live_server: Any, file: Path) -> ImportJob:
    shown.goto(f"{live_server.url}{BRING}")
    shown.get_by_label("CSV file").set_input_files(file)
    shown.get_by_label("Enroll the good rows even if others are wrong").check()
    shown.get_by_role("button", name="Upload", exact=True).click()
    shown.get_by_role("heading", name="Columns of import").wait_for()
    return ImportJob.objects.latest("pk")


def test_is_one_story_by_keyboard(
    live_server: Any, program: Program, officer: User, chromium: Browser, file: Path
) -> None:
    shown = screens.signed_in(chromium, live_server, officer, viewport=screens.WIDE)
    shown.clock.install()
    job = bring(shown, live_server, file)
    assert shown.locator("[aria-current=step]").inner_text().split("\n")[-1] == "Columns"
    chosen = {
        name: shown.get_by_label(name, exact=False).first.input_value()
        for name in ("Reference", "National id", "Full name", "Telephone", "Bitcoin address")
    }
    assert list(chosen.values()) == ["5", "3", "2", "4", "7"]
    # Two fields cannot share a column.
    phone = shown.get_by_label("Telephone")
    phone.select_option("3")
    shown.get_by_role("button", name="Check the file").press("Enter")
    shown.get_by_text("One column cannot hold two fields: national_id").wait_for()
    phone = shown.get_by_label("Telephone")
    phone.focus()
    phone.select_option("4")
    shown.get_by_role("button", name="Check the file").press("Enter")
    bar = shown.get_by_role("progressbar", name="Waiting for a worker")
    assert bar.get_attribute("aria-valuetext") == "0 of 4 rows are checked."
    importing.run(job.pk)
    shown.clock.fast_forward(5_000)
    # Once the worker is done the whole page comes anew.
    wrong = shown.get_by_role("region", name="What is wrong")
    wrong.wait_for()
    assert wrong.locator("td.gp-wrong").all_inner_texts() == [
        "1\nA phone number has 7 to 15 digits, with or without a plus. phone_malformed",
        "bcrt1q0\nThis is not an address. address_malformed",
    ]
    assert count_registry() == (0, 0, 0)
    shown.get_by_role("link", name="Confirm", exact=True).press("Enter")
    shown.get_by_role("button", name="Confirm", exact=True).press("Enter")
    shown.get_by_role("progressbar", name="Writing").wait_for()
    importing.run(job.pk)
    shown.clock.fast_forward(5_000)
    shown.get_by_text("3 people are enrolled. Wrong rows that were left out: 1.").wait_for()
    assert count_registry() == (3, 3, 3)


def test_is_well_made_at_every_step(
    live_server: Any, program: Program, officer: User, chromium: Browser, file: Path
) -> None:
    screens.require_well_made(chromium, live_server, officer, BRING)
    with file.open("rb") as opened:
        job = imports.ask_people(
            by=officer,
            program_id=program.pk,
            file=opened,
            filename="a ministry's list of the people of the far north " * 4,
            accept_partial=True,
            may_ask=True,
        )
    screens.require_well_made(chromium, live_server, officer, page(job, "columns"))
    screens.require_well_made(chromium, live_server, officer, page(job))
    places = {"reference": 5, "national_id": 3, "full_name": 2, "phone": 4, "address": 7}
    imports.say_columns(by=officer, job_id=job.pk, places=places)
    screens.require_well_made(chromium, live_server, officer, page(job))
    importing.run(job.pk)
    screens.require_well_made(chromium, live_server, officer, page(job))
    screens.require_well_made(chromium, live_server, officer, page(job, "confirm"))
    imports.confirm(by=officer, job_id=job.pk)
    importing.run(job.pk)
    screens.require_well_made(chromium, live_server, officer, page(job))


def test_goes_without_script_and_can_be_undone(
    live_server: Any, program: Program, officer: User, chromium: Browser, file: Path
) -> None:
    shown = screens.signed_in(chromium, live_server, officer, java_script_enabled=False)
    job = bring(shown, live_server, file)
    shown.get_by_role("button", name="Check the file").click()
    # The page comes again by itself, without script too.
    shown.get_by_role("progressbar", name="Waiting for a worker").wait_for()
    importing.run(job.pk)
    shown.get_by_role("region", name="What is wrong").wait_for(timeout=10_000)
    shown.get_by_role("link", name="Withdraw").click()
    shown.get_by_role("button", name="Withdraw").click()
    shown.get_by_text("The file, its rows and its errors are deleted.").wait_for()
    job.refresh_from_db()
    assert (job.status, job.parts.count(), job.rows.count(), job.faults.count()) == ("cancelled", 0, 0, 0)
    assert count_registry() == (0, 0, 0)
