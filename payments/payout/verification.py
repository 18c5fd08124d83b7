"""Asks a verifier elsewhere, over HTTP and by keyed hash, whether people are who they are enrolled as; it fails closed.

Only an answer that is whole and as agreed confirms anybody. A verifier that is down, slow, or says anything odd leaves its
people as they were: who was confirmed stays so, and nobody new becomes payable.
"""

import json
import time
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from ledger import audit
from payments import outbound
from payments.models import Heartbeat, Standing, Verification
from payments.payout import core

log = structlog.get_logger(__name__)

# People a request; 500 answers are 45 kB, and more than MOST_BYTES is no answer.
AT_ONCE, MOST_BYTES = 500, 200_000
# For one request, from the connection to the last byte; for one round.
TIMEOUT_S, BUDGET_S = 10, 20
# Until somebody who was not answered is asked for again, doubled each time; until who was refused is.
AGAIN_S, AGAIN_MOST_S, REFUSED_S = 20, 3_600, 86_400
# A verifier that failed is left alone so long.
REST_S = 30
REST = "verifier_failed"
ANSWERS = (Standing.CONFIRMED.value, Standing.REFUSED.value)


class NoAnswer(Exception):
    """The verifier did not say what was agreed; the text says why, without its address or an answer's content."""


def is_on() -> bool:
    """Say whether this installation has a verifier."""
    return bool(settings.GOVPAY_VERIFIER_URL)


def has_due() -> bool:
    """Say whether somebody is to be asked for now."""
    if not is_on() or not Heartbeat.is_due(REST, every_s=REST_S):
        return False
    _register()
    return bool(_due().exists())


def ask() -> None:
    """Ask for everybody who is due, part by part, for as long as a round may last or until one is not answered."""
    until = time.monotonic() + BUDGET_S
    while time.monotonic() < until and has_due():
        asked = _claim()
        if not asked:
            return
        try:
            answers = _post([identity.hex() for identity in asked.values()])
        except NoAnswer as problem:
            log.warning("verifier_failed", people=len(asked), reason=str(problem))
            Heartbeat.beat(REST)
            return
        _store(asked, answers)


def _register() -> None:
    """Give everybody a row who has none: who was enrolled before there was a verifier is asked for like anybody new."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_verification (beneficiary_id, standing, due_at, attempts)"
            " SELECT b.id, 'unverified', statement_timestamp(), 0 FROM payments_beneficiary b WHERE NOT EXISTS ("
            " SELECT FROM payments_verification v WHERE v.beneficiary_id = b.id) ORDER BY b.id LIMIT %s"
            " ON CONFLICT DO NOTHING",
            [AT_ONCE],
        )


def _due() -> Any:
    waiting = Verification.objects.exclude(standing=Standing.CONFIRMED)
    return waiting.filter(due_at__lte=Now()).order_by("due_at", "pk")


@transaction.atomic
def _claim() -> dict[int, bytes]:
    """Take who has waited longest, put them off in case that no answer comes, and return their hashes."""
    rows = list(
        _due()
        .select_for_update(skip_locked=True, of=("self",))
        .values_list("pk", "beneficiary__identity_hash", "attempts")[:AT_ONCE]
    )
    if not rows:
        return {}
    # The part goes by whoever failed most often: one wait for all, so that they come back together.
    most = max(attempts for _, _, attempts in rows)
    wait_s = core.backoff_s(AGAIN_S, AGAIN_MOST_S, times=most, payout_id=rows[0][0])
    Verification.objects.filter(pk__in=[pk for pk, _, _ in rows]).update(
        attempts=F("attempts") + 1, due_at=Now() + timedelta(seconds=wait_s)
    )
    return {pk: bytes(identity) for pk, identity, _ in rows}


@transaction.atomic
def _store(asked: dict[int, bytes], answers: dict[str, str]) -> None:
    """Write down what was answered, in one statement an answer."""
    for standing in ANSWERS:
        pks = [pk for pk, identity in asked.items() if answers.get(identity.hex()) == standing]
        Verification.objects.filter(pk__in=pks).update(
            standing=standing,
            answered_at=Now(),
            attempts=0,
            due_at=Now() + timedelta(seconds=REFUSED_S),
        )
    audit.record("verification.answer")


def _post(hashes: list[str]) -> dict[str, str]:
    """Return the answer for each hash that has one; raise NoAnswer unless the reply is whole and as agreed."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "govpay",
        "Authorization": f"Bearer {settings.GOVPAY_VERIFIER_KEY}",
    }
    try:
        answer = outbound.post(
            settings.GOVPAY_VERIFIER_URL,
            json.dumps({"hashes": hashes}).encode(),
            headers,
            rule=outbound.OPERATOR,
            timeout_s=TIMEOUT_S,
            most_bytes=MOST_BYTES,
        )
    except outbound.Unanswered as error:
        raise NoAnswer(str(error)) from error
    if answer.status != 200:
        raise NoAnswer(outbound.why_not_taken(answer.status) or f"It answered HTTP {answer.status}.")
    return _read(answer.body, set(hashes))


def _read(reply: bytes, asked: set[str]) -> dict[str, str]:
    try:
        answers = json.loads(reply, object_pairs_hook=_once)["answers"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoAnswer("It answered something that is not the JSON agreed on.") from error
    if not isinstance(answers, dict) or not all(answer in ANSWERS for answer in map(_text, answers.values())):
        raise NoAnswer("It answered something else than confirmed or refused.")
    if not set(answers) <= asked:
        raise NoAnswer("It answered for somebody who was not asked for.")
    return answers


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says two things under one key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A key is there twice.")
    return found


def _text(answer: Any) -> str:
    return answer if isinstance(answer, str) else ""
