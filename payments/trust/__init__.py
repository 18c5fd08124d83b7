"""Convertibility trusts: their money under lock, what boards decide, and the legs that they take for people (ADR 57)."""
