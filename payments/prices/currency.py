"""Currencies by ISO 4217, and how many digits their minor units have."""

from decimal import Decimal

from govpay.errors import InvalidInput

# ISO 4217, list one, without metals, test codes and units of account. What is named here has other digits than two.
OTHER_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
TWO_DIGITS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY"
    " COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR"
    " ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK"
    " MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP"
    " SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER"
    " ZAR ZMW ZWG"
)
SCALES: dict[str, int] = {code: scale for scale, codes in OTHER_DIGITS.items() for code in codes.split()}
SCALES |= dict.fromkeys(TWO_DIGITS.split(), 2)


class UnknownCurrency(InvalidInput):
    """It is no currency of ISO 4217."""

    code = "unknown_currency"


def scale(code: str) -> int:
    """Return how many digits the minor unit of a currency has: 2 for PKR, 0 for JPY. Raises UnknownCurrency."""
    if code not in SCALES:
        message = f"{code!r:.12} is no code of ISO 4217, such as PKR."
        raise UnknownCurrency.of("currency", UnknownCurrency.code, message)
    return SCALES[code]


def in_words(amount_minor: int, code: str) -> str:
    """Write an amount with its point and code: ``14,500.00 PKR``."""
    return f"{Decimal(amount_minor).scaleb(-scale(code)):,f} {code}"
