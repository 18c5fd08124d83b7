"""R-34: from the profile's threshold on, with splits counted, who pays whom is kept before anything of a list is paid."""

import hashlib
import json
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from ledger.law import policy
from ledger.law.policy import PolicyRefused, Rule, Ruling, Threshold
from ledger.models import AuditEvent, Entry
from payments.models import (
    Beneficiary,
    Disbursement,
    Event,
    Hold,
    Payment,
    Program,
    Quote,
    StatusChange,
    TravelRecord,
)
from payments.onchain import address, network
from payments.payout import screening
from payments.services import (
    erasures,
    holds,
    ivms101,
    reencryption,
    travel_records,
    travel_rule,
)
from payments.services.authority import RoleMissing
from tests import factories, racing, travelling
from tests.payments.trust.conftest import elect_all, give_price
from tests.travelling import LEAST_SAT

Cast = tuple[User, User, User]
THRESHOLD = Threshold("USD", 100_000, 30, 1_827)


@pytest.fixture
def law(monkeypatch: pytest.MonkeyPatch) -> None:
    travelling.legislate(monkeypatch)


@pytest.fixture
def cast(officer: User, approver: User, releaser: User) -> Cast:
    return officer, approver, releaser


@pytest.fixture
def known(law: None, program: Program, settings: Any, tmp_path: Path) -> Program:
    """A program of satoshis under the law, with a price, an institution and coins."""
    travelling.quote_dollars(settings, tmp_path)
    travelling.make_originator(program)
    factories.fund(program, 100_000_000)
    return program


def approved(program: Program, cast: Cast, amounts: list[int], period: str = "2026-11") -> Disbursement:
    columns: dict[str, Any] = {"amounts_sat" if program.pays_sat else "amounts_minor": amounts}
    return travelling.approve(
        factories.make_disbursement(program, cast[0], period=period, **columns), *cast[:2]
    )


def pay_again(program: Program, cast: Cast, person: Beneficiary, amount: int, period: str) -> Disbursement:
    """An approved list of another cycle that pays the same person."""
    made = factories.make_disbursement(program, cast[0], amounts_sat=[amount], period=period)
    made.payments.update(beneficiary=person)
    return travelling.approve(made, *cast[:2])


def counted(made: Disbursement) -> list[int]:
    """The lines of a list that the rule counts."""
    return list(
        TravelRecord.objects.filter(disbursement=made).order_by("pk").values_list("payment__line", flat=True)
    )


@pytest.mark.django_db
class TestThreshold:
    def test_r34_counts_from_the_threshold_on_and_not_one_satoshi_below(
        self, known: Program, cast: Cast
    ) -> None:
        made = approved(known, cast, [LEAST_SAT - 1, LEAST_SAT, LEAST_SAT + 1])
        made = travelling.release(made, cast[2])
        assert (made.status, counted(made)) == ("released", [2, 3])
        first = TravelRecord.objects.order_by("pk").first()
        assert first is not None
        assert (first.least, first.counted, first.currency, first.threshold_minor) == (
            *(LEAST_SAT, LEAST_SAT, "USD"),
            100_000,
        )
        # By a quote that is kept, and whose MAC says that it is ours.
        assert (first.quote_id, first.quote and first.quote.currency) == (Quote.objects.get().pk, "USD")
        assert (first.profile, first.law, first.linked) == ("sandbox", travelling.LAW, [])
        assert first.keep_until - first.made_at == timedelta(days=1_827)

    def test_r34_counts_money_of_the_same_currency_without_a_price(self, law: None, cast: Cast) -> None:
        program = factories.make_program("DOLLARS", currency="USD")
        for user, role in zip(cast, ("officer", "approver", "releaser"), strict=True):
            program.memberships.create(user=user, role=role, granted_by=factories.make_administrator())
        factories.fund_cash(program, 10_000_000)
        factories.fund(program, 100_000_000)
        travelling.make_originator(program)
        made = approved(program, cast, [99_999, 100_000, 100_001])
        quote = factories.make_quote("USD", "50000")
        made = travelling.release(made, cast[2], quote.pk)
        assert counted(made) == [2, 3]
        record = TravelRecord.objects.order_by("pk")[0]
        assert (record.quote, record.least, record.counted) == (None, 100_000, 100_000)
        assert json.loads(record.payload["text"])["transfer"]["amountSat"] == LEAST_SAT  # type: ignore[index]

    def test_r34_values_money_of_another_currency_by_the_lists_own_quote(
        self, law: None, cast: Cast, settings: Any, tmp_path: Path
    ) -> None:
        program = factories.make_program("RUPEES", currency="PKR")
        for user, role in zip(cast, ("officer", "approver", "releaser"), strict=True):
            program.memberships.create(user=user, role=role, granted_by=factories.make_administrator())
        factories.fund_cash(program, 1_000_000_000)
        factories.fund(program, 100_000_000)
        travelling.make_originator(program)
        travelling.quote_dollars(settings, tmp_path)
        # 281 rupees are a dollar, by the two quotes.
        quote = factories.make_quote("PKR", "14050000")
        made = approved(program, cast, [28_099_999, 28_100_000])
        made = travelling.release(made, cast[2], quote.pk)
        assert counted(made) == [2]
        assert TravelRecord.objects.get().least == 28_100_000

    @pytest.mark.parametrize("price", ["50000", "99999.99999999", "3", "0.00000003", "61234.5"])
    @pytest.mark.parametrize("own", [None, "28100000", "7", "0.1"])
    @pytest.mark.django_db
    def test_r34_is_exact_at_any_price(self, price: str, own: str | None) -> None:
        quote = factories.make_quote("USD", price)
        own_quote = None if own is None else factories.make_quote("PKR", own)
        unit = Fraction(1, 10**8) if own is None else Fraction(1, 100) / Fraction(own)
        found = travel_rule.least("sat" if own is None else "PKR", THRESHOLD, quote, own_quote)
        assert found * unit * Fraction(price) >= 1_000 > (found - 1) * unit * Fraction(price)

    def test_r34_does_not_apply_where_the_profile_has_none(self, program: Program, cast: Cast) -> None:
        factories.fund(program, 100_000_000)
        made = travelling.release(approved(program, cast, [LEAST_SAT * 10]), cast[2])
        assert (made.status, TravelRecord.objects.count(), Quote.objects.count()) == ("released", 0, 0)


@pytest.mark.django_db
class TestSplits:
    def test_r34_counts_what_other_lists_of_the_days_pay_the_same_person(
        self, known: Program, cast: Cast
    ) -> None:
        first = travelling.release(approved(known, cast, [LEAST_SAT - 1, 5_000]), cast[2])
        person = first.payments.get(line=1).beneficiary
        second = travelling.release(pay_again(known, cast, person, 294, "2026-12"), cast[2])
        assert (counted(first), counted(second)) == ([], [1])
        record = TravelRecord.objects.get()
        assert (record.counted, record.linked) == (LEAST_SAT + 293, [first.payments.get(line=1).pk])
        transfer = json.loads(record.payload["text"])["transfer"]  # type: ignore[index]
        assert (transfer["amountSat"], transfer["counted"], transfer["countedWith"]) == (
            *(294, LEAST_SAT + 293),
            record.linked,
        )

    @pytest.mark.parametrize(("days", "is_counted"), [(29, True), (31, False)])
    def test_r34_counts_within_the_days_of_the_rule(
        self, known: Program, cast: Cast, days: int, is_counted: bool
    ) -> None:
        first = travelling.release(approved(known, cast, [LEAST_SAT - 1]), cast[2])
        Disbursement.objects.filter(pk=first.pk).update(released_at=timezone.now() - timedelta(days=days))
        again = pay_again(known, cast, first.payments.get().beneficiary, 294, "2026-12")
        travelling.release(again, cast[2])
        assert TravelRecord.objects.exists() == is_counted

    def test_r34_does_not_count_what_was_withdrawn_or_not_released(self, known: Program, cast: Cast) -> None:
        first = approved(known, cast, [LEAST_SAT - 1, 5_000])
        line = first.payments.get(line=1)
        again = pay_again(known, cast, line.beneficiary, 294, "2026-12")
        third = pay_again(known, cast, line.beneficiary, 294, "2027-01")
        travelling.release(again, cast[2])
        holds.hold(by=cast[0], payment_id=line.pk, note="Wrong.")
        holds.withdraw(by=cast[1], payment_id=line.pk, note="Wrong.")
        travelling.release(first, cast[2])
        travelling.release(third, cast[2])
        assert not TravelRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_r34_counts_two_halves_that_are_released_at_once(known: Program, cast: Cast) -> None:
    first = approved(known, cast, [LEAST_SAT // 2])
    second = pay_again(known, cast, first.payments.get().beneficiary, LEAST_SAT // 2, "2026-12")
    other = factories.make_member(known, "releaser", "another-releaser")
    _, racer = racing.race(
        lambda: travelling.release(first, cast[2]), lambda: travelling.release(second, other)
    )
    assert racer.error is None
    assert (counted(first), counted(second)) == ([], [1])


@pytest.mark.django_db
class TestPayload:
    def test_r34_says_who_pays_whom_in_the_words_of_ivms101(self, known: Program, cast: Cast) -> None:
        made = travelling.release(approved(known, cast, [LEAST_SAT]), cast[2])
        line = made.payments.get()
        record, payload = travel_records.fetch(by=cast[2], payment_id=line.pk)
        said = json.loads(payload)
        payer = {
            "legalPerson": {
                "name": {
                    "nameIdentifier": [
                        {"legalPersonName": "Ministry of Pensions", "legalPersonNameIdentifierType": "LEGL"}
                    ]
                },
                "nationalIdentification": {
                    "nationalIdentifier": travelling.LEI,
                    "nationalIdentifierType": "LEIX",
                },
                "countryOfRegistration": "PK",
            }
        }
        name = line.beneficiary.personal["full_name"]
        assert said["ivms101"] == {
            "originator": {"originatorPersons": [payer], "accountNumber": [known.wallet.name]},
            "beneficiary": {
                "beneficiaryPersons": [
                    {
                        "naturalPerson": {
                            "name": {
                                "nameIdentifier": [{"primaryIdentifier": name, "nameIdentifierType": "LEGL"}]
                            }
                        }
                    }
                ],
                "accountNumber": [
                    address.address_from_script(bytes(line.script_pubkey or b""), network.Network.REGTEST)
                ],
            },
            "originatingVASP": {"originatingVASP": payer},
        }
        assert said["transfer"] | {"reference": ""} == {
            "reference": "",
            "madeAt": record.made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "network": "regtest",
            "asset": "BTC",
            "amountSat": LEAST_SAT,
            "payment": line.pk,
            "list": made.pk,
            "program": known.code,
            "unit": "sat",
            "counted": LEAST_SAT,
            "countedWith": [],
            "rule": {
                "profile": "sandbox",
                "id": "travel_rule",
                "law": travelling.LAW,
                "threshold": "1,000.00 USD",
            },
        }
        assert (record.vasp, bytes(record.sha256 or b"")) == ("", hashlib.sha256(payload).digest())

    def test_r34_is_known_by_its_hash_in_the_audit_events(self, known: Program, cast: Cast) -> None:
        made = travelling.release(approved(known, cast, [LEAST_SAT, LEAST_SAT]), cast[2])
        hashes = b"".join(
            bytes(row.sha256 or b"") for row in TravelRecord.objects.filter(disbursement=made).order_by("pk")
        )
        found = AuditEvent.objects.get(action="travel_rule.apply")
        assert (found.subject_kind, found.subject_id, found.actor) == (
            "disbursement",
            str(made.pk),
            cast[2].username,
        )
        assert found.reason.startswith("2 payloads and 0 without")
        assert found.reason.endswith(hashlib.sha256(hashes).hexdigest())

    def test_r34_is_not_the_same_twice_so_that_its_hash_says_nothing(
        self, known: Program, cast: Cast
    ) -> None:
        made = travelling.release(approved(known, cast, [LEAST_SAT, LEAST_SAT]), cast[2])
        said = [json.loads(row.payload["text"]) for row in made.travel_records.all()]  # type: ignore[index]
        assert len({each["transfer"]["reference"] for each in said}) == 2

    def test_writes_an_address_and_a_long_name(self) -> None:
        person = ivms101.natural_person("A" * 130)["naturalPerson"]["name"]["nameIdentifier"][0]
        assert (person["primaryIdentifier"], person["secondaryIdentifier"]) == ("A" * 100, "A" * 30)
        payer = ivms101.legal_person(name="Fund", country="PK", address_line="1 Mall Road", town="Lahore")
        assert payer["legalPerson"]["geographicAddress"] == [
            {
                "addressType": "BIZZ",
                "addressLine": ["1 Mall Road"],
                "townName": "Lahore",
                "country": "PK",
            }
        ]

    @pytest.mark.parametrize(
        ("text", "is_one"),
        [
            (travelling.LEI, True),
            ("529900T8BM49AURSDO56", False),
            (travelling.LEI.lower(), False),
            (travelling.LEI[:19], False),
            ("", False),
        ],
    )
    def test_knows_a_legal_entity_identifier(self, text: str, is_one: bool) -> None:
        assert ivms101.is_lei(text) == is_one


@pytest.mark.django_db
def test_r34_names_the_trust_that_keeps_the_address(
    law: None, program: Program, officer: User, approver: User, releaser: User, settings: Any, tmp_path: Path
) -> None:
    travelling.quote_dollars(settings, tmp_path)
    give_price("28100000")
    travelling.make_originator(program)
    factories.fund(program, 100_000_000)
    trust = factories.make_trust(cash_minor=100_000_000)
    draft = factories.make_disbursement(program, officer, amounts_sat=[LEAST_SAT, LEAST_SAT])
    elect_all(draft, trust, officer, but=(2,))
    made = travelling.release(travelling.approve(draft, officer, approver), releaser)
    hosted, own = TravelRecord.objects.order_by("pk")
    assert (hosted.vasp, own.vasp) == ("Convertibility trust", "")
    said = json.loads(hosted.payload["text"])["ivms101"]  # type: ignore[index]
    line = made.payments.get(line=1)
    assert said["beneficiary"]["accountNumber"] == [
        address.address_from_script(bytes(line.script_pubkey or b""), network.Network.REGTEST)
    ]
    assert said["beneficiaryVASP"] == {
        "beneficiaryVASP": {
            "legalPerson": {
                "name": {
                    "nameIdentifier": [
                        {"legalPersonName": "Convertibility trust", "legalPersonNameIdentifierType": "LEGL"}
                    ]
                }
            }
        }
    }
    assert "beneficiaryVASP" not in json.loads(own.payload["text"])["ivms101"]  # type: ignore[index]


@pytest.mark.django_db
class TestRefusal:
    def refused(self, made: Disbursement, releaser: User) -> dict[str, Any]:
        entries = Entry.objects.count()
        with pytest.raises(PolicyRefused) as refused, transaction.atomic():
            travelling.release(made, releaser)
        made.refresh_from_db()
        assert (made.status, made.released_by, Entry.objects.count()) == ("approved", None, entries)
        assert not TravelRecord.objects.exists()
        assert (refused.value.details["rule"], refused.value.details["law"]) == (
            "travel_rule",
            travelling.LAW,
        )
        return refused.value.details

    def test_r34_releases_nothing_while_nobody_has_said_who_pays(self, known: Program, cast: Cast) -> None:
        known.originators.update(ended_at=timezone.now())
        made = approved(known, cast, [LEAST_SAT])
        assert self.refused(made, cast[2])["missing"] == "originator"
        # Below the threshold nobody asks.
        assert travelling.release(approved(known, cast, [5_000], "2026-12"), cast[2]).status == "released"

    def test_r34_releases_nothing_without_a_price(self, law: None, program: Program, cast: Cast) -> None:
        factories.fund(program, 100_000_000)
        travelling.make_originator(program)
        found = self.refused(approved(program, cast, [5_000]), cast[2])
        assert (found["missing"], found["price_rule"]) == ("price", "no_rule")
        assert not Quote.objects.exists()

    def test_r34_releases_nothing_where_the_threshold_is_not_known(
        self, program: Program, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        travelling.legislate(monkeypatch, Ruling.UNDETERMINED)
        factories.fund(program, 100_000_000)
        assert self.refused(approved(program, cast, [5_000]), cast[2])["ruling"] == "undetermined"

    def test_r34_holds_who_has_no_name_and_pays_the_rest(self, known: Program, cast: Cast) -> None:
        made = approved(known, cast, [LEAST_SAT, LEAST_SAT, 5_000])
        nameless = made.payments.get(line=1)
        Beneficiary.objects.filter(pk=nameless.beneficiary_id).update(
            personal={"full_name": " ", "phone": ""}
        )
        travelling.release(made, cast[2])
        assert list(made.payments.order_by("line").values_list("status", flat=True)) == [
            *("held", "pending", "pending")
        ]
        hold = Hold.objects.get()
        assert (hold.rule, hold.payment, hold.ended_at) == ("travel_rule", nameless, None)
        assert hold.note.startswith("travel_rule: the person's name is not known")
        assert travelling.LAW in hold.note
        record = TravelRecord.objects.get(payment=nameless)
        assert (record.payload, record.sha256, record.missing) == (None, None, "the person's name")
        with pytest.raises(travel_records.PayloadMissing, match="the person's name is not known"):
            travel_records.fetch(by=cast[2], payment_id=nameless.pk)
        # Nobody judges it, and no look again lets it go; it can be withdrawn.
        with pytest.raises(holds.HoldStands):
            holds.resume(by=cast[1], payment_id=nameless.pk, note="Known to me.")
        assert list(screening.lists_to_review(now=timezone.now(), most=10)) == []
        screening.review(made.pk)
        nameless.refresh_from_db()
        assert nameless.status == "held"
        holds.withdraw(by=cast[1], payment_id=nameless.pk, note="Enroll them anew.")

    def test_r34_keeps_it_of_a_held_line_too(self, known: Program, cast: Cast) -> None:
        made = approved(known, cast, [LEAST_SAT, 5_000])
        line = made.payments.get(line=1)
        holds.hold(by=cast[0], payment_id=line.pk, note="Wait.")
        travelling.release(made, cast[2])
        assert TravelRecord.objects.get().payment == line
        holds.resume(by=cast[1], payment_id=line.pk, note="Go on.")
        line.refresh_from_db()
        assert line.status == "pending"


@pytest.mark.django_db
class TestKept:
    @pytest.fixture
    def line(self, known: Program, cast: Cast) -> Payment:
        return travelling.release(approved(known, cast, [LEAST_SAT]), cast[2]).payments.get()

    def test_r34_is_read_by_auditors_and_releasers_alone_and_each_reading_is_an_event(
        self, line: Payment, cast: Cast, known: Program, auditor: User
    ) -> None:
        travel_records.fetch(by=auditor, payment_id=line.pk)
        travel_records.fetch(by=auditor, payment_id=line.pk)
        treasurer = factories.make_member(known, "treasurer")
        for other in (cast[0], cast[1], treasurer):
            with pytest.raises(RoleMissing):
                travel_records.fetch(by=other, payment_id=line.pk)
        found = AuditEvent.objects.filter(action="travel_rule.read")
        assert list(found.values_list("actor", flat=True)) == [auditor.username] * 2

    def test_r34_outlives_an_erasure_until_its_time_is_over(
        self, line: Payment, cast: Cast, known: Program, auditor: User
    ) -> None:
        record = TravelRecord.objects.get()
        Beneficiary.objects.filter(pk=line.beneficiary_id).update(erased_at=timezone.now())
        erasures._destroy(line.beneficiary_id, timezone.now())
        said = json.loads(travel_records.fetch(by=auditor, payment_id=line.pk)[1])
        assert said["ivms101"]["beneficiary"]["beneficiaryPersons"][0]["naturalPerson"]
        assert travel_records.forget(record.keep_until - timedelta(seconds=1)) == 0
        assert travel_records.forget(record.keep_until) == 1
        assert travel_records.forget(record.keep_until) == 0
        record.refresh_from_db()
        assert (record.payload, record.forgotten_at, record.counted) == (None, record.keep_until, LEAST_SAT)
        assert AuditEvent.objects.filter(action="travel_rule.forget", subject_id=str(record.pk)).count() == 1
        with pytest.raises(travel_records.PayloadMissing, match="kept as long as the rule says"):
            travel_records.fetch(by=auditor, payment_id=line.pk)

    def test_r34_stays_as_it_was_made(self, line: Payment) -> None:
        record = TravelRecord.objects.get()
        changes: list[dict[str, Any]] = [
            {"counted": record.counted + 1},
            {"vasp": "Another"},
            {"payload": None, "forgotten_at": record.keep_until - timedelta(days=1)},
            {"sha256": b"\0" * 32},
        ]
        for change in changes:
            with pytest.raises(IntegrityError), transaction.atomic():
                TravelRecord.objects.update(**change)
        with pytest.raises(IntegrityError), transaction.atomic():
            TravelRecord.objects.all().delete()

    def test_r34_is_given_to_nobody_when_somebody_put_another_there(
        self, known: Program, cast: Cast, auditor: User
    ) -> None:
        made = travelling.release(approved(known, cast, [LEAST_SAT, LEAST_SAT]), cast[2])
        first, second = TravelRecord.objects.filter(disbursement=made).order_by("pk")
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE payments_travelrecord t SET payload = o.payload FROM payments_travelrecord o"
                " WHERE t.id = %s AND o.id = %s",
                [first.pk, second.pk],
            )
        with pytest.raises(travel_records.PayloadChanged):
            travel_records.fetch(by=auditor, payment_id=first.payment_id)

    def test_r34_is_encrypted_anew(self, line: Payment, settings: Any) -> None:
        before = TravelRecord.objects.get().payload
        keys = {"k9": b"\x09" * 32} | settings.GOVPAY_FIELD_KEYS
        with override_settings(GOVPAY_FIELD_KEYS=keys):
            reencryption.run()
            assert reencryption.count_by_key()["payments_travelrecord.payload"] == {"k9": 1}
            assert TravelRecord.objects.get().payload == before

    def test_r34_shows_no_name_anywhere_else(
        self, known: Program, cast: Cast, auditor: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        canary = "Zephyrine Quillfeather"
        made = approved(known, cast, [LEAST_SAT])
        line = made.payments.get()
        Beneficiary.objects.filter(pk=line.beneficiary_id).update(personal={"full_name": canary, "phone": ""})
        with caplog.at_level("DEBUG"):
            travelling.release(made, cast[2])
            _, payload = travel_records.fetch(by=auditor, payment_id=line.pk)
        assert canary.encode() in payload
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(t)::text, t.payload FROM payments_travelrecord t")
            text, stored = cursor.fetchone()
        kept = [text, caplog.text, bytes(stored).hex()]
        for model in (AuditEvent, Event, StatusChange, Hold, Entry, Quote):
            kept += [str(row) for row in model.objects.values()]
        forms = (canary, "Quillfeather", canary.encode().hex(), b"Quillfeather".hex())
        assert [form for form in forms for each in kept if form in each] == []


def test_r34_is_a_rule_of_every_profile() -> None:
    found = {
        name: [each for each in profile.provisions if each.rule == Rule.TRAVEL_RULE]
        for name, profile in policy.PROFILES.items()
    }
    assert {name: [(each.ruling, each.threshold) for each in rows] for name, rows in found.items()} == {
        "el-salvador-2021": [(Ruling.LIMITED, THRESHOLD)],
        "el-salvador-2025": [(Ruling.LIMITED, THRESHOLD)],
        "pakistan-2026": [(Ruling.UNDETERMINED, None)],
        "sandbox": [(Ruling.ALLOWED, None)],
    }
