"""Formats of Urdu."""
