"""How numbers and dates are written in languages that Django has no formats of."""
