"""Keeps what a page tells after an act in the language in which the act was done."""

from typing import Any

from django.contrib.messages.storage.fallback import FallbackStorage

from govpay.said import said


class Notes(FallbackStorage):
    """Django's own storage of messages."""

    def add(self, level: int, message: Any, extra_tags: str | None = "") -> None:
        """Add a message, said in the language of the page."""
        super().add(level, said(message), extra_tags)
