"""Urdu as it is written in Pakistan: digits and their groups as in English, the day before the month."""

DATE_FORMAT = "j F Y"
DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
