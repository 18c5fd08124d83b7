"""Quotes: what they keep, and that nothing is quoted where nobody said how (R-12)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from payments.models import Quote
from payments.prices import currency, quotes
from tests import factories

pytestmark = pytest.mark.django_db


class TestQuote:
    def test_keeps_price_and_what_each_source_said(self) -> None:
        quote = Quote.objects.get(pk=factories.make_quote("PKR", "28100000.12345678").pk)
        assert quote.price == Decimal("28100000.12345678")
        assert [value["name"] for value in quote.values] == ["Exchange 1", "Exchange 2"]

    def test_holds_until_before_it_expires(self) -> None:
        quote = factories.make_quote()
        assert not quote.is_expired(quote.expires_at - timedelta(microseconds=1))
        assert quote.is_expired(quote.expires_at)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments_quote SET price = price + 1",
            "UPDATE payments_quote SET expires_at = expires_at + interval '1 year'",
            "DELETE FROM payments_quote",
            "TRUNCATE payments_quote CASCADE",
        ],
    )
    def test_is_never_changed_by_anybody(self, statement: str) -> None:
        quote = factories.make_quote()
        with pytest.raises(DatabaseError, match="payments_quote"), transaction.atomic():
            connection.cursor().execute(statement)
        kept = Quote.objects.get()
        assert (kept.price, kept.expires_at) == (quote.price, quote.expires_at)

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"price": "0"}, "quote_price_positive"),
            ({"price": "-1"}, "quote_price_positive"),
            ({"currency": "pkr"}, "quote_currency_code"),
            ({"currency": "PK"}, "quote_currency_code"),
            ({"expires_at": timezone.now() - timedelta(days=1)}, "quote_expires_later"),
        ],
    )
    def test_is_no_row_that_the_database_takes_otherwise(
        self, changes: dict[str, Any], constraint: str
    ) -> None:
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            factories.make_quote(**changes)
        assert Quote.objects.count() == 0


class TestSignature:
    """What is paid by a quote is what a process of ours took: its MAC covers all that it says."""

    def test_holds_as_it_was_stored(self) -> None:
        quotes.verify(Quote.objects.get(pk=factories.make_quote("PKR", "28100000.5").pk))

    @pytest.mark.parametrize(
        "changes",
        [
            {"price": Decimal("28100000.00000001")},
            {"currency": "INR"},
            {"taken_at": timezone.now() - timedelta(days=1)},
            {"expires_at": timezone.now() + timedelta(days=1)},
            {"values": []},
            {"rule": {"floor": "1"}},
            {"mac": b"0" * 32},
            {"key_id": "none"},
        ],
    )
    def test_breaks_with_anything_that_somebody_writes(self, changes: dict[str, Any]) -> None:
        """Rows cannot be changed, but somebody who writes rows can add one that is like another."""
        quote = factories.make_quote()
        for name, value in changes.items():
            setattr(quote, name, value)
        quote.pk = None
        quote.save()
        with pytest.raises(quotes.QuoteForged) as refusal:
            quotes.verify(Quote.objects.get(pk=quote.pk))
        assert refusal.value.details == {"quote_id": quote.pk}


class TestCurrency:
    @pytest.mark.parametrize(("code", "digits"), [("PKR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
    def test_has_the_digits_of_iso_4217(self, code: str, digits: int) -> None:
        assert currency.scale(code) == digits

    @pytest.mark.parametrize("code", ["BTC", "XXX", "XAU", "pkr", "", "PKR ", "USDT"])
    def test_is_none_that_is_not_there(self, code: str) -> None:
        with pytest.raises(currency.UnknownCurrency) as refusal:
            currency.scale(code)
        assert refusal.value.details["errors"][0]["column"] == "currency"


class TestTake:
    def test_refuses_while_nobody_said_how_a_price_is_made(self) -> None:
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("PKR")
        assert refusal.value.details == {"currency": "PKR", "rule": "no_rule"}
        assert Quote.objects.count() == 0
