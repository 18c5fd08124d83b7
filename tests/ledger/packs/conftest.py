"""Books to make packs of, as those of the seals."""

from tests.ledger.seals.conftest import opened_books, seal_key

__all__ = ["opened_books", "seal_key"]
