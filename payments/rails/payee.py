"""Asks people's banks, before anybody is paid there, whether an account has the title that we know; it fails closed (R-35).

The question, its headers and the codes of the answer are those of the EPC's verification of payee between banks (its API
specifications of 2024): a name, an IBAN and who asks whom, and MTCH, CMTC, NMTC or NOAP. Only a whole answer of that form
counts. A bank that is down, slow, or says anything odd leaves the account as it was, and who was never confirmed is not paid
by bank file.
"""

import json
import time
import uuid
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from ledger import audit
from payments import outbound
from payments.models import BankAccount, Heartbeat, TitleMatch
from payments.payout import core

log = structlog.get_logger(__name__)

# Accounts taken at a time; each is one request, as the scheme has it.
AT_ONCE, MOST_BYTES = 50, 10_000
TIMEOUT_S, BUDGET_S = 10, 20
# Until an account that was not answered is asked for again, doubled each time; until one of another title is.
AGAIN_S, AGAIN_MOST_S, OTHER_S = 20, 3_600, 86_400
# A check that failed is left alone so long.
REST_S = 30
REST = "payee_check_failed"
ANSWERS = (TitleMatch.MATCH.value, TitleMatch.CLOSE.value, TitleMatch.OTHER.value, TitleMatch.NONE.value)


class NoAnswer(Exception):
    """The bank did not say what was agreed; the text says why, without its address or an answer's content."""


def is_on() -> bool:
    """Say whether this installation asks banks for titles."""
    return bool(settings.GOVPAY_PAYEE_CHECK_URL)


def has_due() -> bool:
    """Say whether an account is to be asked for now."""
    return is_on() and Heartbeat.is_due(REST, every_s=REST_S) and _due().exists()


def ask() -> None:
    """Ask for every account that is due, for as long as a round may last or until one is not answered."""
    until = time.monotonic() + BUDGET_S
    while time.monotonic() < until and has_due():
        for pk, account in _claim().items():
            try:
                said = _post(account)
            except NoAnswer as problem:
                log.warning("payee_check_failed", bank_account=pk, reason=str(problem))
                Heartbeat.beat(REST)
                return
            _store(pk, account, said)


def _due() -> Any:
    # Who proposes an account is told by its page what the bank says, before a second person decides.
    waiting = BankAccount.objects.exclude(title_match=TitleMatch.MATCH).filter(due_at__lte=Now())
    return waiting.exclude(replaces__isnull=False, is_current=False, decided_at__isnull=False).exclude(
        replaces=None, is_current=False
    )


@transaction.atomic
def _claim() -> dict[int, dict[str, str]]:
    """Take who has waited longest, put them off in case that no answer comes, and return their accounts."""
    rows = list(
        _due()
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("due_at", "pk")
        .values_list("pk", "account", "attempts")[:AT_ONCE]
    )
    if not rows:
        return {}
    most = max(attempts for _, _, attempts in rows)
    wait_s = core.backoff_s(AGAIN_S, AGAIN_MOST_S, times=most, payout_id=rows[0][0])
    BankAccount.objects.filter(pk__in=[pk for pk, _, _ in rows]).update(
        attempts=F("attempts") + 1, due_at=Now() + timedelta(seconds=wait_s)
    )
    return {pk: account for pk, account, _ in rows}


@transaction.atomic
def _store(pk: int, account: dict[str, str], said: str) -> None:
    row = BankAccount.objects.select_for_update().get(pk=pk)
    # Who was erased meanwhile has no account any more.
    if row.account == account:
        was = audit.digest(row)
        BankAccount.objects.filter(pk=pk).update(
            title_match=said, answered_at=Now(), attempts=0, due_at=Now() + timedelta(seconds=OTHER_S)
        )
        audit.record("bank_account.answer", row, before=was)


def _post(account: dict[str, str]) -> str:
    """Return the bank's code for an account; raise NoAnswer unless the reply is whole and as agreed."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "govpay",
        "X-Request-ID": str(uuid.uuid4()),
        "X-Request-Timestamp": timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Authorization": f"Bearer {settings.GOVPAY_PAYEE_CHECK_KEY}",
    }
    body: dict[str, Any] = {"party": {"name": account["title"]}, "partyAccount": {"iban": account["iban"]}}
    for agent, bic in (("partyAgent", account["bic"]), ("requestingAgent", settings.GOVPAY_PAYEE_CHECK_BIC)):
        if bic:
            body[agent] = {"financialInstitutionId": {"bicfi": bic}}
    try:
        answer = outbound.post(
            settings.GOVPAY_PAYEE_CHECK_URL,
            json.dumps(body).encode(),
            headers,
            rule=outbound.OPERATOR,
            timeout_s=TIMEOUT_S,
            most_bytes=MOST_BYTES,
        )
    except outbound.Unanswered as error:
        raise NoAnswer(str(error)) from error
    if answer.status != 200:
        raise NoAnswer(outbound.why_not_taken(answer.status) or f"It answered HTTP {answer.status}.")
    return _read(answer.body)


def _read(reply: bytes) -> str:
    try:
        said = json.loads(reply, object_pairs_hook=_once)["partyNameMatch"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoAnswer("It answered something that is not the JSON agreed on.") from error
    if said not in ANSWERS:
        raise NoAnswer("It answered something else than MTCH, CMTC, NMTC or NOAP.")
    return str(said)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says two things under one key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A key is there twice.")
    return found
