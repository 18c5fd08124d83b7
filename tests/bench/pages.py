"""The pages of a long list over the API: the last one against the first, in turns."""

import base64
import statistics
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from knox.models import AuthToken
from rest_framework.test import APIClient

from payments.models import Disbursement
from tests import factories

PAGE = 100
TURNS = 15
# Written as a loader would: what is measured is reading.
FILL = """
WITH people AS (
    INSERT INTO payments_beneficiary (identity_hash, personal, created_at)
    SELECT sha256(n::text::bytea), '\\x00', now() FROM generate_series(2, %(n)s) n RETURNING id
), enrolled AS (
    INSERT INTO payments_enrollment (program_id, beneficiary_id, reference, created_by_id, created_at)
    SELECT %(program)s, id, 'PAGE-' || id, %(by)s, now() FROM people RETURNING beneficiary_id
)
INSERT INTO payments_payment (disbursement_id, cycle_id, line, beneficiary_id, amount_sat, status)
SELECT %(list)s, %(cycle)s, 1 + row_number() OVER (), beneficiary_id, 1000, 'pending' FROM enrolled
"""


def measure(n: int) -> dict[str, Any]:
    """Return milliseconds of the first and the last page of ``n`` payments, and their ratio."""
    program = factories.make_program("PAGES")
    officer = factories.make_member(program, "officer")
    made = factories.make_disbursement(program, officer, amounts_sat=[1_000])
    fill(made, n)
    client = APIClient(SERVER_NAME="127.0.0.1")
    _, token = AuthToken.objects.create(user=officer)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    first = f"/api/v1/disbursements/{made.pk}/payments/?page_size={PAGE}"
    last = find_last(made, n)
    assert get(client, first)["results"][0]["line"] == 1
    assert get(client, last)["results"][-1]["line"] == n
    times: dict[str, list[float]] = {"first": [], "last": []}
    for _ in range(TURNS):
        for name, address in (("first", first), ("last", last)):
            times[name].append(timed(lambda address=address: get(client, address)))
    found = {name: statistics.median(taken) for name, taken in times.items()}
    return {
        "payments": n,
        "page": PAGE,
        **{f"{name}_ms": round(taken * 1_000, 2) for name, taken in found.items()},
        "last_to_first": round(found["last"] / found["first"], 2),
    }


def fill(made: Disbursement, n: int) -> None:
    """Give the list so many payments in all."""
    values = {
        "n": n,
        "program": made.program_id,
        "list": made.pk,
        "cycle": made.cycle_id,
        "by": made.made_by_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(FILL, values)
        cursor.execute("VACUUM ANALYZE payments_payment, payments_enrollment, payments_beneficiary")


def find_last(made: Disbursement, n: int) -> str:
    """Return the address of the last page, as whoever came from the first would have been given it."""
    cursor = urlencode({"p": str(n - PAGE)})
    encoded = base64.b64encode(cursor.encode()).decode()
    query = urlencode({"page_size": PAGE, "cursor": encoded})
    return f"/api/v1/disbursements/{made.pk}/payments/?{query}"


def get(client: APIClient, address: str) -> Any:
    """Return a page."""
    response = client.get(address)
    assert response.status_code == 200, response.content
    return response.json()


def timed(act: Callable[[], Any]) -> float:
    """Return the seconds that it takes."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin
