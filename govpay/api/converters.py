"""Ids in addresses: what no row can have is no address, so it never reaches the database."""

from django.urls import register_converter

MAX_ID = 2**63 - 1


class IdConverter:
    """A positive 64-bit integer without leading zeros."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        """Return the id; raise ValueError, which Django answers with 404, above 64 bits."""
        number = int(value)
        if number > MAX_ID:
            raise ValueError("The id is above 64 bits.")
        return number

    def to_url(self, value: int) -> str:
        """Return the id as text."""
        return str(value)


register_converter(IdConverter, "id")
