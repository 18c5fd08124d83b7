"""Fills in the forms of the pages of people, as a browser without script does."""

import re
from typing import Any

from django.test import Client

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def send(visitor: Client, page_address: str, **fields: Any) -> Any:
    """Open the page, and send its form."""
    page = visitor.get(page_address)
    assert page.status_code == 200
    token = TOKEN.search(page.content.decode())
    assert token is not None
    return visitor.post(page_address, {"csrfmiddlewaretoken": token[1], **fields})


def text_of(response: Any) -> str:
    """Return the page without its tokens, which differ each time."""
    return TOKEN.sub("", response.content.decode())


def require_strict(response: Any) -> None:
    """Nothing from elsewhere, no script, nothing kept."""
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    page = response.content.decode()
    assert "<script" not in page
    assert "://" not in page
    assert "style=" not in page
    assert len(response.content) < 20_000
    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "same-origin"
