"""Follows the links of pages as somebody who is signed in, one page of each kind: nothing has to be listed anywhere."""

from collections import deque
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

from django.test import Client
from django.urls import Resolver404, resolve

BEGIN = ("/admin/", "/transparency/", "/person/claim/", "/verify/")
ROLES = ("auditor", "officer", "approver", "releaser", "treasurer", "helpdesk", "security")
# What ends the session, and what asks somebody elsewhere.
LEFT_OUT = {"logout", "provider-start", "provider-back", "provider-link"}


class Visit(NamedTuple):
    """A page's kind, its address, the address of the page that links to it, and the answer."""

    kind: str
    address: str
    came_from: str
    answer: Any

    @property
    def is_page(self) -> bool:
        """Whether the answer is a page to look at."""
        is_html = "html" in self.answer.headers.get("Content-Type", "")
        return self.answer.status_code == 200 and not self.answer.streaming and is_html


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep links, and the fragments that a page asks for by itself."""
        said = dict(attrs)
        self.found += [said[name] or "" for name in ("href", "hx-get") if tag != "link" and name in said]


def crawl(client: Client) -> Iterator[Visit]:
    """Yield the visit of one page of each kind that can be reached."""
    host = client.defaults.get("SERVER_NAME", "testserver")
    waiting = deque((address, "") for address in BEGIN)
    kinds: set[str] = set()
    while waiting:
        address, came_from = waiting.popleft()
        kind = kind_of(address)
        if kind in kinds:
            continue
        kinds.add(kind)
        visit = Visit(kind, address, came_from, client.get(address))
        yield visit
        if visit.answer.status_code in (301, 302):
            links = [visit.answer["Location"]]
        else:
            links = _Links(visit.answer.content.decode()).found if visit.is_page else []
        for link in links:
            to = urlsplit(urljoin(f"http://{host}{address}", link))
            if (to.scheme, to.netloc) == ("http", host) and not _is_left_out(to.path):
                waiting.append((f"{to.path}?{to.query}" if to.query else to.path, address))


def kind_of(address: str) -> str:
    """Return the name of the page and of what is asked of it; of an address that has no page, itself."""
    parts = urlsplit(address)
    try:
        name = resolve(parts.path).view_name
    except Resolver404:
        return address
    asked = "&".join(sorted({name for name, _ in parse_qsl(parts.query)}))
    return f"{name}?{asked}" if asked else name


def _is_left_out(path: str) -> bool:
    try:
        match = resolve(path)
    except Resolver404:
        return path.startswith("/static/")
    return match.url_name in LEFT_OUT or path.endswith("/logout/") or path.startswith("/api/")
