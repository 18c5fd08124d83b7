"""A list of money: to validate it, against taking a quote and converting every line, alike or each of another amount."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from payments.models import Disbursement, PriceRule, Program
from payments.prices import quotes, watch
from payments.services import conversions, disbursements, lists, people
from tests import factories
from tests.bench import people as crowd

PAY_MINOR = 1_450_000
GOAL = 0.1


def measure(n: int) -> dict[str, Any]:
    """Return seconds at n lines to validate a list (read, check, store), and to quote and convert it, and their ratio."""
    program = factories.make_program("MONEY", currency="PKR")
    officer, approver, releaser = (
        factories.make_member(program, role) for role in ("officer", "approver", "releaser")
    )
    factories.fund_cash(program, 100 * n * PAY_MINOR)
    factories.fund(program, 100 * n * 60_000)
    folder = Path(settings.BASE_DIR) / "var" / "bench" / "money"
    folder.mkdir(exist_ok=True)
    crowd.write_people(folder / "people.csv", n)
    with (folder / "people.csv").open("rb") as file:
        people.import_csv(by=officer, program_id=program.pk, file=file, filename="people.csv")
    vacuum()
    found: dict[str, Any] = {"lines": n, "goal": GOAL}
    with override_settings(GOVPAY_PRICE_FOLDER=str(folder)):
        ask_for_prices(folder)
        for name, step in (("alike", 0), ("each_another", 1)):
            found[name] = one(program, (officer, approver, releaser), folder / f"{name}.csv", n, step)
    return found


def one(program: Program, who: tuple[User, User, User], path: Path, n: int, step: int) -> dict[str, Any]:
    """Make a list whose amounts differ by so much from line to line, agree to it, and convert it."""
    officer, approver, releaser = who
    with path.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["reference", "amount_minor"])
        writer.writerows([f"B{number:08}", PAY_MINOR + step * number] for number in range(n))
    total = n * PAY_MINOR + step * n * (n - 1) // 2
    with path.open("rb") as file:
        validating_s = timed(
            lambda: lists.create_from_csv(
                by=officer,
                program_id=program.pk,
                period=path.stem.replace("_", "-"),
                purpose="pension",
                file=file,
                filename=path.name,
                expected_count=n,
                expected_total_minor=total,
            )
        )
    made = Disbursement.objects.latest("pk")
    submitting_s = timed(lambda: disbursements.submit(by=officer, disbursement_id=made.pk))
    made.refresh_from_db()
    disbursements.approve(
        by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )
    vacuum()
    statements: list[str] = []

    def quote_and_convert() -> None:
        made.quote = quotes.take("PKR", by=releaser)
        conversions.convert(made)

    def count(execute: Callable[..., Any], sql: str, *call: Any) -> Any:
        statements.append(sql)
        return execute(sql, *call)

    # The release does it inside its own database transaction, which waits for the disk for other reasons.
    with transaction.atomic(), connection.execute_wrapper(count):
        converting_s = timed(quote_and_convert)
    return {
        "validating_s": round(validating_s, 3),
        "submitting_s": round(submitting_s, 3),
        "quoting_and_converting_s": round(converting_s, 3),
        "statements": len(statements),
        "ratio": round(converting_s / validating_s, 3),
        "ratio_with_submission": round(converting_s / (validating_s + submitting_s), 3),
    }


def ask_for_prices(folder: Path) -> None:
    """Let the watch read three files that agree."""
    factories.make_price_rule("PKR", floor="1000000", ceiling="100000000")
    for number in range(3):
        said = {"base": "BTC", "currency": "PKR", "price": "28100000.00", "time": timezone.now().isoformat()}
        (folder / f"pkr{number}.json").write_text(json.dumps(said))
        factories.make_price_source("PKR", "file", f"pkr{number}.json", fresh_s=3_600, name=f"File {number}")
    watch.look(PriceRule.objects.get(currency="PKR").pk)


def vacuum() -> None:
    """Let the planner know what is there, as the server does by itself between a list's steps."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE payments_payment, payments_enrollment, payments_beneficiary")


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
