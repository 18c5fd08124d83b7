"""What entries are about: where its pages are (lists, payments, payouts, coins), and whose books it is in.

The ledger asks here, by settings.
"""

from collections.abc import Callable

from django.urls import reverse
from django.utils.http import urlencode

from ledger import chart
from payments.models import Coin, Disbursement, Payment, Payout, Program

MODELS = {"disbursement": Disbursement, "payment": Payment, "payout": Payout}
MAX_DIGITS = 18


def page_of(source_ref: str) -> str | None:
    """Return the address of the page of a source such as payout:12, without asking the database; None for another."""
    noun, _, rest = source_ref.partition(":")
    find: Callable[[str, str], str | None] = _coins if noun in ("outpoint", "output") else _row
    return find(noun, rest)


def scope_names() -> dict[str, str]:
    """Return the code of the program of each scope; a program keeps its code."""
    return {chart.program_scope(pk): code for pk, code in Program.objects.values_list("pk", "code")}


def _row(noun: str, number: str) -> str | None:
    if noun not in MODELS or not (number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS):
        return None
    return reverse(f"admin:payments_{MODELS[noun]._meta.model_name}_change", args=[int(number)])


def _coins(noun: str, outpoint: str) -> str:
    txid, _, _ = outpoint.partition(":")
    return reverse(f"admin:payments_{Coin._meta.model_name}_changelist") + "?" + urlencode({"q": txid})
