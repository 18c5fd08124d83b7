"""Holds lists to a program's rolling caps: what one maker, person or address, or the program, may have in some days (R-17).

A list that was split to pass under a tier is caught here. Caps of people and addresses name the lines of a list that go over
them when it is submitted; those of makers and programs refuse the list, then and once more when it is released.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, Sum

from govpay.errors import Conflict, InvalidInput
from payments.models import CapKind, Disbursement, Payment, Wallet
from payments.services.policies import Cap
from payments.states import DisbursementStatus, PaymentStatus

MAX_ERRORS = 100
COUNTED = [
    DisbursementStatus.SUBMITTED,
    DisbursementStatus.APPROVED,
    DisbursementStatus.RELEASED,
    DisbursementStatus.COMPLETED,
]
GONE = [PaymentStatus.CANCELLED, PaymentStatus.VOIDED]
# Whose part of a line a cap counts, and what a person reads about it.
OF_LINES = {
    CapKind.BENEFICIARY: ("beneficiary_id", "This person"),
    CapKind.DESTINATION: ("script_pubkey", "This address"),
}
OVER = """
WITH own AS (
    SELECT {who} AS who, min(line) AS line, sum(amount)::bigint AS total
    FROM payments_payment WHERE disbursement_id = %(list)s GROUP BY {who}
), earlier AS (
    SELECT p.{who} AS who, sum(p.amount)::bigint AS total
    FROM payments_payment p JOIN payments_disbursement d ON d.id = p.disbursement_id
    WHERE d.program_id = %(program)s AND d.id <> %(list)s AND d.status = ANY(%(counted)s)
        AND d.submitted_at > %(since)s AND p.status <> ALL(%(gone)s) AND p.script_pubkey IS NOT NULL
        AND p.{who} IN (SELECT who FROM own)
    GROUP BY p.{who}
)
SELECT own.line, own.total, coalesce(earlier.total, 0) FROM own LEFT JOIN earlier USING (who)
WHERE own.total + coalesce(earlier.total, 0) > %(most)s ORDER BY own.line LIMIT %(rows)s
"""


class OverCap(Conflict):
    """With this list a maker or the program would have more in a window of days than its cap."""

    code = "over_cap"


def lock(disbursement: Disbursement, caps: Sequence[Cap]) -> None:
    """Let one list of the program at a time be counted, where anything is; the list is locked already."""
    if caps:
        Wallet.objects.lock().get(program_id=disbursement.program_id)


def check_submission(disbursement: Disbursement, caps: Sequence[Cap], *, at: datetime) -> None:
    """Raise OverCap with the figures, or InvalidInput with one error a line that goes over the cap of its person or address.

    Counts what was submitted in the window and was not withdrawn. Hold the ``lock``.
    """
    _require(disbursement, caps, at, "submitted_at")
    errors: list[dict[str, Any]] = []
    for cap in caps:
        if cap.kind in OF_LINES:
            errors += _lines_over(disbursement, cap, at)
    if errors:
        raise InvalidInput(
            f"{len(errors)} lines or more go over a cap of the program; nothing was submitted.",
            errors=errors[:MAX_ERRORS],
        )


def check_release(disbursement: Disbursement, caps: Sequence[Cap], *, at: datetime) -> None:
    """Raise OverCap with the figures; counts what was released in the window. Hold the ``lock``."""
    _require(disbursement, caps, at, "released_at")


def _require(disbursement: Disbursement, caps: Sequence[Cap], at: datetime, column: str) -> None:
    own, program = _sum([disbursement.pk]), disbursement.program
    for cap in caps:
        if cap.kind in OF_LINES:
            continue
        others = Disbursement.objects.filter(
            program_id=disbursement.program_id,
            status__in=COUNTED,
            **{f"{column}__gt": at - timedelta(days=cap.window_days)},
        ).exclude(pk=disbursement.pk)
        if cap.kind == CapKind.MAKER:
            others = others.filter(made_by_id=disbursement.made_by_id)
        earlier, unit = _sum(list(others.values_list("pk", flat=True))), program.unit_words
        if earlier + own > cap.most_sat:
            raise OverCap(
                f"The {cap.kind}'s cap is {cap.most_sat} {unit} in {cap.window_days} days: {earlier} {unit} are "
                f"{column.removesuffix('_at')} already, and this list is {own} {unit}.",
                kind=str(cap.kind),
                window_days=cap.window_days,
                **program.amounts("most", cap.most_sat),
                **program.amounts("earlier", earlier),
                **program.amounts("list", own),
            )


def _sum(list_ids: list[int]) -> int:
    """Return what lists pay, without the lines that were withdrawn or voided, and those that wait for an address."""
    whole = Disbursement.objects.filter(pk__in=list_ids).aggregate(total=Sum("total"))["total"] or 0
    is_gone = Q(status__in=GONE) | Q(script_pubkey=None)
    gone = Payment.objects.filter(is_gone, disbursement__in=list_ids).aggregate(total=Sum("amount"))
    return whole - (gone["total"] or 0)


def _lines_over(disbursement: Disbursement, cap: Cap, at: datetime) -> list[dict[str, Any]]:
    column, who = OF_LINES[CapKind(cap.kind)]
    unit = disbursement.program.unit_words
    with connection.cursor() as cursor:
        cursor.execute(
            OVER.format(who=column),
            {
                "list": disbursement.pk,
                "program": disbursement.program_id,
                "counted": [str(status) for status in COUNTED],
                "gone": [str(status) for status in GONE],
                "since": at - timedelta(days=cap.window_days),
                "most": cap.most_sat,
                "rows": MAX_ERRORS,
            },
        )
        rows = cursor.fetchall()
    return [
        {
            "row": line,
            "column": f"amount_{disbursement.program.unit}",
            "code": "over_cap",
            "message": f"{who} may have {cap.most_sat} {unit} in {cap.window_days} days: {earlier} {unit} of other "
            f"lists and {own} {unit} of this one are more.",
        }
        for line, own, earlier in rows
    ]
