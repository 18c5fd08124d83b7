"""Plumbing that every API view shares: parsing, problem details, pages, idempotency."""
