"""Applies the travel rule to a list that is released: from the profile's threshold on, who pays whom is kept first (R-34).

What one person gets by a list counts together with what other lists of the program, released within the days that the rule
names, pay them: whoever splits a payment stays not below. The payload is made and stored inside the release, so before
anything is sealed; where the person's name is not known, the line is held, and the rest is paid.
"""

import hashlib
import json
import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection

from ledger import audit
from ledger.law import policy
from ledger.law.policy import Provision, Threshold
from payments.models import Disbursement, Originator, Quote, Rail, Wallet
from payments.models.beneficiary import PERSONAL_CONTEXT
from payments.models.encrypted import decrypt, encryptor
from payments.models.travel import TRAVEL_CONTEXT
from payments.onchain import address
from payments.onchain.network import Network
from payments.payout import agreed
from payments.prices import currency as currencies
from payments.prices import quotes
from payments.services import ivms101, originators
from payments.signer.conversion import COIN, PRICE_UNIT

NAME_MISSING = "the person's name"
ROWS_AT_ONCE, MAX_ERRORS = 1_000, 100
# What bitcoin pays of a list, and what else of the program was released to the same people in the days of the rule.
COUNTED = """
WITH own AS (
    SELECT p.id, p.line, p.beneficiary_id, p.amount, p.script_pubkey,
        sum(p.amount) OVER (PARTITION BY p.beneficiary_id) AS total
    FROM payments_payment p WHERE p.disbursement_id = %(list)s AND p.status IN ('pending', 'held')
        AND p.script_pubkey IS NOT NULL AND p.payout_id IS NULL AND p.sent_at IS NULL
), others AS (
    SELECT p.beneficiary_id, sum(p.amount) AS total, array_agg(p.id ORDER BY p.id) AS ids
    FROM payments_payment p JOIN payments_disbursement d ON d.id = p.disbursement_id
    WHERE d.program_id = %(program)s AND d.id <> %(list)s AND d.status IN ('released', 'completed')
        AND d.released_at > %(since)s AND p.status NOT IN ('cancelled', 'voided') AND p.script_pubkey IS NOT NULL
        AND p.beneficiary_id IN (SELECT beneficiary_id FROM own)
    GROUP BY p.beneficiary_id
)
SELECT w.id, w.line, w.beneficiary_id, w.amount, w.script_pubkey, (w.total + coalesce(o.total, 0))::bigint,
    coalesce(o.ids, ARRAY[]::bigint[]), coalesce(t.name, '')
FROM own w LEFT JOIN others o USING (beneficiary_id)
LEFT JOIN payments_trustleg g ON g.payment_id = w.id AND g.status <> 'freed' LEFT JOIN payments_trust t ON t.id = g.trust_id
WHERE w.total + coalesce(o.total, 0) >= %(least)s ORDER BY w.id
"""

KEEP = """
INSERT INTO payments_travelrecord (payment_id, counted, linked, vasp, missing, payload, sha256, disbursement_id,
    originator_id, profile, law, currency, threshold_minor, quote_id, least, made_at, keep_until)
SELECT g.payment, g.counted, g.linked::jsonb, g.vasp, g.missing, g.payload, g.sha256, %(list)s, %(originator)s,
    %(profile)s::varchar, %(law)s::text, %(currency)s::varchar, %(threshold)s::bigint, %(quote)s::bigint, %(least)s::bigint,
    %(at)s::timestamptz, %(until)s::timestamptz
FROM unnest(%(payments)s::bigint[], %(counted)s::bigint[], %(linked)s::text[], %(vasps)s::varchar[], %(missing)s::varchar[],
    %(payloads)s::bytea[], %(hashes)s::bytea[]) AS g(payment, counted, linked, vasp, missing, payload, sha256)
ORDER BY g.payment
"""


class _Line(NamedTuple):
    """A payment that the rule counts; amounts are in the program's own unit."""

    payment_id: int
    line: int
    beneficiary_id: int
    amount: int
    script_pubkey: bytes
    counted: int
    linked: list[int]
    vasp: str


class _Terms(NamedTuple):
    """By what a list is judged: the provision, its threshold, the least amount that counts, and the price that says so."""

    provision: Provision
    threshold: Threshold
    least: int
    quote: Quote | None


def apply(disbursement: Disbursement, *, by: User, at: datetime) -> None:
    """Keep who pays whom of each line from the threshold on, or what is missing, which screening holds the line for.

    The caller holds the list's row and has chosen its quote. Raises policy.PolicyRefused, citing the rule, where what the
    lines are worth in its currency, or who pays, is not known: nothing is released then.
    """
    program = disbursement.program
    if disbursement.rail != Rail.BITCOIN:
        return
    found = policy.require(program.policy_profile, policy.Rule.TRAVEL_RULE, at=at)
    if found.threshold is None or not disbursement.payments.filter(script_pubkey__isnull=False).exists():
        return
    # One list of the program at a time is counted: two halves that are released at once are one whole.
    wallet = Wallet.objects.lock().get(program=program)
    terms = _terms(disbursement, found, found.threshold, at)
    lines = _counted(disbursement, terms, at)
    if not lines:
        return
    originator = originators.of_program(program.pk)
    if originator is None:
        raise _nobody_pays(disbursement, found, lines)
    writer = _Writer(disbursement, terms, originator, wallet, at)
    for start in range(0, len(lines), ROWS_AT_ONCE):
        writer.keep(lines[start : start + ROWS_AT_ONCE])
    hashes = writer.hashes
    audit.record(
        "travel_rule.apply",
        disbursement,
        by=by,
        scope=program.scope,
        reason=f"{len(hashes)} payloads and {len(lines) - len(hashes)} without; SHA-256 of their hashes in order: "
        f"{hashlib.sha256(b''.join(hashes)).hexdigest()}",
    )


def least(program_currency: str, threshold: Threshold, quote: Quote | None, own: Quote | None) -> int:
    """Return the smallest amount, in satoshis or minor units of the program's currency, that is worth the threshold.

    In exact integers, without rounding. ``quote`` is of the threshold's currency, ``own`` of the program's, where these are
    others.
    """
    if program_currency == threshold.currency:
        return threshold.from_minor
    assert quote is not None
    price, scale = agreed.rate(quote)
    if own is None:
        return _ceil(threshold.from_minor * COIN * PRICE_UNIT, price * 10**scale)
    own_price, own_scale = agreed.rate(own)
    return _ceil(threshold.from_minor * own_price * 10**own_scale, price * 10**scale)


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _nobody_pays(disbursement: Disbursement, found: Provision, lines: list[_Line]) -> policy.PolicyRefused:
    message = "It is to go with who pays, and nobody has said yet who that is."
    return policy.refusal(
        disbursement.program.policy_profile,
        found,
        f"{len(lines)} lines are to go with who pays, and nobody has said yet who that is.",
        missing="originator",
        errors=[
            {"row": line.line, "column": "", "code": policy.Rule.TRAVEL_RULE.value, "message": message}
            for line in lines[:MAX_ERRORS]
        ],
    )


def _terms(disbursement: Disbursement, found: Provision, threshold: Threshold, at: datetime) -> _Terms:
    program = disbursement.program
    quote = None
    if program.currency != threshold.currency:
        try:
            quote = quotes.take(threshold.currency, at=at)
        except quotes.NoPrice as error:
            raise policy.refusal(
                program.policy_profile,
                found,
                f"What the lines are worth in {threshold.currency} is not known. {error.message}",
                missing="price",
                price_rule=error.details["rule"],
            ) from error
    return _Terms(found, threshold, least(program.currency, threshold, quote, disbursement.quote), quote)


def _counted(disbursement: Disbursement, terms: _Terms, at: datetime) -> list[_Line]:
    with connection.cursor() as cursor:
        cursor.execute(
            COUNTED,
            {
                "list": disbursement.pk,
                "program": disbursement.program_id,
                "since": at - timedelta(days=terms.threshold.linked_days),
                "least": terms.least,
            },
        )
        return [
            _Line(pk, line, person, amount, bytes(script), counted, linked, vasp)
            for pk, line, person, amount, script, counted, linked, vasp in cursor.fetchall()
        ]


class _Writer:
    """Writes the payloads of one list, some hundred with a statement, and remembers their hashes in order."""

    def __init__(
        self, disbursement: Disbursement, terms: _Terms, originator: Originator, wallet: Wallet, at: datetime
    ) -> None:
        self.hashes: list[bytes] = []
        self._list, self._terms, self._wallet, self._at = disbursement, terms, wallet, at
        self._network = Network(disbursement.program.network)
        self._encrypt = encryptor(TRAVEL_CONTEXT)
        self._payer = ivms101.legal_person(
            name=originator.legal_name,
            country=originator.country,
            lei=originator.lei,
            address_line=originator.address_line,
            town=originator.town,
        )
        self._same = {
            "list": disbursement.pk,
            "originator": originator.pk,
            "profile": disbursement.program.policy_profile,
            "law": terms.provision.law,
            "currency": terms.threshold.currency,
            "threshold": terms.threshold.from_minor,
            "quote": None if terms.quote is None else terms.quote.pk,
            "least": terms.least,
            "at": at,
            "until": at + timedelta(days=terms.threshold.keep_days),
        }

    def keep(self, lines: list[_Line]) -> None:
        """Write the payload of each line, or what is missing."""
        names = _names([line.beneficiary_id for line in lines])
        sats = agreed.satoshis(self._list, [line.amount for line in lines])
        texts = [
            self._text(line, name, amount_sat) if name else None
            for line, name, amount_sat in zip(lines, names, sats, strict=True)
        ]
        hashes = [None if text is None else hashlib.sha256(text.encode()).digest() for text in texts]
        values: dict[str, Any] = self._same | {
            "payments": [line.payment_id for line in lines],
            "counted": [line.counted for line in lines],
            "linked": [json.dumps(line.linked) for line in lines],
            "vasps": [line.vasp for line in lines],
            "missing": ["" if name else NAME_MISSING for name in names],
            "payloads": [None if text is None else self._encrypt(_stored(text)) for text in texts],
            "hashes": hashes,
        }
        with connection.cursor() as cursor:
            cursor.execute(KEEP, values)
        self.hashes += [digest for digest in hashes if digest is not None]

    def _text(self, line: _Line, name: str, amount_sat: int) -> str:
        return ivms101.text(
            originator=self._payer,
            account=self._wallet.name,
            name=name,
            address=address.address_from_script(line.script_pubkey, self._network),
            vasp=line.vasp,
            transfer=self._transfer(line, amount_sat),
        )

    def _transfer(self, line: _Line, amount_sat: int) -> dict[str, Any]:
        """Return what is said of a transfer besides who pays whom; a random reference keeps its hash silent."""
        program, threshold = self._list.program, self._terms.threshold
        return {
            "reference": secrets.token_hex(16),
            "madeAt": ivms101.moment(self._at),
            "network": program.network,
            "asset": "BTC",
            "amountSat": amount_sat,
            "payment": line.payment_id,
            "list": self._list.pk,
            "program": program.code,
            "unit": program.unit_words,
            "counted": line.counted,
            "countedWith": line.linked,
            "rule": {
                "profile": program.policy_profile,
                "id": policy.Rule.TRAVEL_RULE.value,
                "law": self._terms.provision.law,
                "threshold": currencies.in_words(threshold.from_minor, threshold.currency),
            },
        }


def _names(beneficiary_ids: list[int]) -> list[str]:
    """Return the name of each person, in this order; empty where it is not known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, personal FROM payments_beneficiary WHERE id = ANY(%s::bigint[])", [beneficiary_ids]
        )
        found = {pk: decrypt(bytes(stored), PERSONAL_CONTEXT) for pk, stored in cursor.fetchall()}
    return [found[pk].get("full_name", "").strip() for pk in beneficiary_ids]


def _stored(text: str) -> bytes:
    """Return what is encrypted of a payload, as the field reads it."""
    return json.dumps({"text": text}, ensure_ascii=False, separators=(",", ":")).encode()
