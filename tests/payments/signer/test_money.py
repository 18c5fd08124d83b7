"""A list of money: its satoshis are made by the signer itself, at a price that its own configuration bounds (R-11)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payments.signer import bundle, config, conversion
from payments.signer.bundle import Bundle, Quote, Source
from payments.signer.config import Bounds, Config
from payments.signer.manifest import Line
from payments.signer.refusal import Refusal, Unreadable
from tests.payments.signer import scene
from tests.payments.signer.scene import NOW, Draft

PRICE = "28100000.00000000"
PAY_MINOR, PAY_SAT = 1_450_000, 51_601
QUOTE = Quote(
    7, "PKR", PRICE, NOW, NOW + timedelta(minutes=10), (Source("Kraken", "28100000"), Source("Börse", None))
)
AGREED = [Line(101 + n, 7_101 + n, scene.script(101 + n), PAY_MINOR) for n in range(2)]
PAID = [line._replace(amount=PAY_SAT) for line in AGREED]


def draft(**changes: Any) -> Draft:
    """A tx that pays what the approved money is at the price."""
    given = {"paid": PAID, "listed": AGREED, "change": [(4, 93_798)], "header": {"currency": "PKR"}}
    return Draft(**{**given, **changes})


def bounded(lowest: str = "20000000", highest: str = "40000000", scale: int = 2) -> Config:
    prices = config._prices({"PKR": {"lowest": lowest, "highest": highest, "scale": scale}})
    return replace(scene.configure(), prices=prices)


def refusal(given: Bundle, found: Config | None = None) -> str:
    with pytest.raises(Refusal) as refused:
        scene.examine(given, found or bounded())
    return refused.value.code


class TestRules:
    def test_pay_what_the_money_is_at_the_price(self) -> None:
        examined = scene.examine(draft().bundle(quote=QUOTE), bounded())
        assert [(paid.line.amount, paid.amount_sat) for paid in examined.payments] == [
            (PAY_MINOR, PAY_SAT)
        ] * 2
        assert examined.payments_sat == 2 * PAY_SAT

    def test_refuse_one_satoshi_more(self) -> None:
        more = [PAID[0], PAID[1]._replace(amount=PAY_SAT + 1)]
        given = draft(paid=more, change=[(4, 93_797)]).bundle(quote=QUOTE)
        assert refusal(given) == "payment_amount"

    def test_refuse_money_that_is_paid_as_satoshis(self) -> None:
        given = draft(paid=AGREED, coins=[scene.Coin(1, 4_000_000)], change=[(4, 1_097_000)])
        assert refusal(given.bundle(quote=QUOTE)) == "payment_amount"

    @pytest.mark.parametrize(
        ("quote", "code"),
        [
            (None, "quote_currency"),
            (replace(QUOTE, currency="USD"), "quote_currency"),
            (replace(QUOTE, price="19999999.99999999"), "price_bounds"),
            (replace(QUOTE, price="40000000.00000001"), "price_bounds"),
            (replace(QUOTE, price="0.00000000"), "price_bounds"),
            (replace(QUOTE, expires_at=NOW), "quote_times"),
            # At another price within the bounds the outputs are other ones.
            (replace(QUOTE, price="28100001.00000000"), ""),
            (replace(QUOTE, price="28200000.00000000"), "payment_amount"),
        ],
    )
    def test_refuse_another_quote(self, quote: Quote | None, code: str) -> None:
        given = draft().bundle(quote=quote)
        if code:
            assert refusal(given) == code
        else:
            scene.examine(given, bounded())

    def test_refuse_a_currency_without_bounds(self) -> None:
        assert refusal(draft().bundle(quote=QUOTE), scene.configure()) == "price_unbounded"

    def test_refuse_a_price_where_satoshis_were_approved(self) -> None:
        assert refusal(Draft().bundle(quote=QUOTE)) == "quote_unneeded"

    def test_hold_a_list_to_one_price(self) -> None:
        first = scene.judge(draft().bundle(quote=QUOTE), found=bounded()).record
        assert first.price == f"{PRICE} PKR"
        more = draft(
            payout_id=8,
            coins=[scene.Coin(2)],
            paid=[Line(103, 7_103, scene.script(103), PAY_SAT)],
            listed=[*AGREED, Line(103, 7_103, scene.script(103), PAY_MINOR)],
            change=[(5, 145_399)],
        )
        of_all = replace(first, manifest_sha256="")
        for price, is_fine in ((PRICE, True), ("28100001.00000000", False)):
            given = more.bundle(quote=replace(QUOTE, price=price))
            examined = scene.examine(given, bounded())
            assert examined.manifest is not None
            earlier = replace(of_all, manifest_sha256=examined.manifest.sha256.hex())
            if is_fine:
                scene.judge(given, [earlier], bounded())
                continue
            with pytest.raises(Refusal) as refused:
                scene.judge(given, [earlier], bounded())
            assert refused.value.code == "list_price"


class TestFile:
    def test_comes_back_as_it_was_written(self) -> None:
        made = draft().bundle(quote=QUOTE)
        text = bundle.dump(made)
        assert '"format":"govpay-signing-2"' in text
        assert bundle.load(text) == made
        assert '"format":"govpay-signing-1"' in bundle.dump(Draft().bundle())

    @pytest.mark.parametrize(
        "wrong",
        [
            {"price": "28100000"},
            {"price": "-1.00000000"},
            {"currency": "pkr"},
            {"sources": (Source("", None),)},
            {"sources": (Source("a\nb", None),)},
            {"id": 0},
        ],
    )
    def test_is_not_written_otherwise(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(Unreadable):
            bundle.dump(draft().bundle(quote=replace(QUOTE, **wrong)))


class TestConfiguration:
    def test_bounds_prices(self) -> None:
        assert bounded().prices == {"PKR": Bounds(20_000_000 * 10**8, 40_000_000 * 10**8, 2)}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"PKR": {"lowest": "2", "highest": "1", "scale": 2}},
            {"PKR": {"lowest": "0", "highest": "1", "scale": 2}},
            {"PKR": {"lowest": "1.5", "highest": "2", "scale": 2}},
            {"PKR": {"lowest": "1", "highest": "2", "scale": 5}},
            {"PKR": {"lowest": "1", "highest": "2"}},
            {"pkr": {"lowest": "1", "highest": "2", "scale": 2}},
            {"PKR": 3},
        ],
    )
    def test_refuses_what_bounds_nothing(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(Unreadable):
            config._prices(wrong)


def test_halves_go_to_the_even_neighbour() -> None:
    assert [conversion.half_even(n, 2) for n in (-3, -1, 1, 3, 5)] == [-2, 0, 0, 2, 2]
    assert [conversion.price_of(text) for text in ("1.00000000", "01.00000000", "0.00000000", "1.0", "")] == [
        100_000_000,
        None,
        None,
        None,
        None,
    ]
