"""Prices of bitcoin: who says what, what is believed of it, and the quotes that are made of that (R-12)."""
