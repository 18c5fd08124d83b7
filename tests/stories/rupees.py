"""A program of money beside PENSIONS, set up by the services in a process of the stack; in a browser its quote expires."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from tests.stories import releaser
from tests.stories.play import Play
from tests.stories.staff import Staff

SOURCES = {"Central bank": "28100000.00", "Exchange A": "28110000.00", "Exchange B": "28090000.00"}
ROLES = {"ayesha": "officer", "bruno": "approver", "carmen": "releaser", "dalia": "treasurer"}
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
# As short as a rule may have it.
QUOTE_S = 10


def expired_quote(play: Play) -> None:
    """A quote that holds no more releases nothing; another one does."""
    write_prices(play.stage.prices)
    said = play.stage.stack.manage(
        "shell", "-v", "0", "-c", "from tests.stories import rupees; rupees.prepare()"
    )
    address = f"/admin/payments/disbursement/{int(said)}/change/"
    bruno, carmen = play.staff("bruno"), play.staff("carmen")
    # A role that is new has signed its person out.
    for person in (bruno, carmen):
        person.sign_in()
    bruno.go("/admin/payments/program/")
    bruno.follow("RELIEF")
    bruno.until(re.compile("^bcrt1"))
    play.stage.deposit(bruno.said("bcrt1[0-9a-z]+"), [1_000_000])
    bruno.until("1,000,000 sat")
    bruno.decide(address, "Approve", "Approve 1 payment")
    bruno.reads("has your approval")
    take_quote(carmen, address, "money-quote")
    carmen.reads("Holds until")
    carmen.page.wait_for_timeout((QUOTE_S + 1) * 1_000)
    carmen.press("Release", "wrong-quote")
    carmen.reads("The quote does not hold any more", "Take another one on the list's page.")
    take_quote(carmen, address)
    carmen.press("Release")
    carmen.reads("the engine pays it now")
    releaser.wait_until_settled(play, address, 1)
    carmen.look("money-settled")


def take_quote(carmen: Staff, address: str, picture: str = "") -> None:
    """Take a quote, which leads to the page of the release, and give a code where it is asked for."""
    carmen.go(address)
    carmen.follow("Take a quote")
    carmen.press("Take a quote")
    if "/step-up/" in carmen.page.url:
        carmen.give_code()
    carmen.look(picture)


def write_prices(folder: Path) -> None:
    """Let three sources say what a bitcoin costs, in files."""
    folder.mkdir(exist_ok=True)
    for number, price in enumerate(SOURCES.values()):
        said = {
            "base": "BTC",
            "currency": "PKR",
            "price": price,
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        (folder / f"{number}.json").write_text(json.dumps(said))


def prepare() -> None:
    """Make program, people, prices, budget and a submitted list; print the list's number."""
    from django.contrib.auth.models import User

    from payments.models import Disbursement
    from payments.services import budgets, disbursements, lists, people, programs, proposals, roles

    cast = {user.username: user for user in User.objects.all()}
    program = programs.create(by=cast["hugo"], code="RELIEF", name="Flood relief, in rupees", currency="PKR")
    for name, role in ROLES.items():
        roles.grant(by=cast["hugo"], program_id=program.pk, user=cast[name], role=role)
    rule = proposals.propose_price_rule(
        by=cast["jamal"],
        currency="PKR",
        note="The rule of the pilot.",
        is_on=True,
        least_sources=2,
        spread_bps=200,
        jump_bps=1_000,
        floor="20000000",
        ceiling="40000000",
        quote_s=QUOTE_S,
    )
    proposals.confirm(by=cast["karin"], proposal_id=rule.pk)
    for number, name in enumerate(SOURCES):
        made = proposals.propose_price_source(
            by=cast["jamal"],
            currency="PKR",
            kind="file",
            name=name,
            address=f"{number}.json",
            fresh_s=3_600,
            note="One of three.",
        )
        proposals.confirm(by=cast["karin"], proposal_id=made.pk)
    first_date = datetime.now(UTC).date().replace(day=1)
    period = budgets.open_period(
        by=cast["dalia"],
        program_id=program.pk,
        name="Pilot",
        first_date=first_date,
        last_date=first_date.replace(year=first_date.year + 1),
    )
    for kind in ("allotment", "cash_release"):
        step = budgets.propose(
            by=cast["ayesha"],
            budget_period_id=period.pk,
            kind=kind,
            amount_minor=100_000_00,
            note="Letter 1 of the ministry.",
        )
        budgets.confirm(by=cast["dalia"], warrant_id=step.pk)
    people.enroll(
        by=cast["ayesha"],
        program_id=program.pk,
        reference="REL-1",
        national_id="99902-0000001-1",
        full_name="Bilal Shah",
        phone="",
        address=ADDRESS,
    )
    intake = lists.create_from_csv(
        by=cast["ayesha"],
        program_id=program.pk,
        period="2026-11",
        purpose="relief",
        file=io.BytesIO(b"reference,amount_minor\nREL-1,1450000\n"),
        filename="relief.csv",
        expected_count=1,
        expected_total_minor=1_450_000,
    )
    made = disbursements.submit(by=cast["ayesha"], disbursement_id=Disbursement.objects.get(intake=intake).pk)
    print(made.pk)
