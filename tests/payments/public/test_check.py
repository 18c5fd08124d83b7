"""Each public figure leads to where it stands in the signed file, and to what proves it."""

import json
import re
from html import unescape

import pytest
from django.test import Client

from payments.models import Publication

pytestmark = pytest.mark.django_db
ROOT = "/transparency/"


def links(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'href="(/transparency/check/[^"]*)"', page)]


def test_shows_every_figure_of_the_page_as_the_file_has_it(client: Client, published: Publication) -> None:
    document = json.loads(published.document)
    found = links(client.get(ROOT).content.decode())
    assert len(found) == len(set(found)) == 11
    for link in found:
        answer = client.get(link)
        assert answer.status_code == 200, link
        value = document
        for name in answer.context["pointer"].split("/")[1:]:
            value = value[int(name) if isinstance(value, list) else name]
        assert f">{value}</code>" in answer.content.decode()
        assert bytes(published.sha256).hex() in answer.content.decode()


@pytest.mark.parametrize(
    ("pointer", "words", "command"),
    [
        (
            "/programs/1/paid/amount_sat",
            "payments whose transactions are in blocks",
            ".programs[1].paid.amount_sat",
        ),
        ("/programs/1/pending/people", "approved and not settled", ".programs[1].pending.people"),
        ("/programs/1/reconciliation/status", "comparison of claims", ".programs[1].reconciliation.status"),
        ("/reserve/addresses/0/amount_sat", "Ask any node", "scantxoutset start '[\"addr(tb1qq"),
        ("/reserve/addresses/1/amount_sat", "institution declared it", ".reserve.addresses[1].amount_sat"),
        ("/reserve/block_hash", "Ask any node", "getblockhash 900000"),
        ("/books/root", "seal of the books", f"getrawtransaction {'cd' * 32} 1"),
    ],
)
def test_says_what_proves_it(
    pointer: str, words: str, command: str, client: Client, published: Publication
) -> None:
    page = unescape(client.get(f"{ROOT}check/", {"figure": pointer}).content.decode())
    assert words in page
    assert command in page


@pytest.mark.parametrize(
    "pointer",
    [
        *(
            "",
            "/",
            "paid",
            "/programs",
            "/programs/1",
            "/programs/9/paid",
            "/programs/-1/name",
            "/programs/x",
        ),
        *(
            "/programs/0/paid/amount_sat",
            "/programs/1/paid",
            "/books/entries/0",
            "/reserve/addresses/2/amount_sat",
        ),
        *("/\x00", "/programs/1/\u0663", "/a" * 40, "/PROGRAMS/1", "/programs/1/paid/amount_sat/"),
    ],
)
def test_has_no_page_of_what_is_no_figure(pointer: str, client: Client, published: Publication) -> None:
    assert client.get(f"{ROOT}check/", {"figure": pointer}).status_code == 404


def test_has_no_page_before_anything_was_published(client: Client, db: None) -> None:
    assert client.get(f"{ROOT}check/", {"figure": "/programs/0/code"}).status_code == 404


@pytest.mark.parametrize(("language", "direction"), [("es", ""), ("ur", ' dir="rtl"')])
def test_keeps_the_language(language: str, direction: str, client: Client, published: Publication) -> None:
    found = links(client.get(ROOT, {"lang": language}).content.decode())
    assert all(link.endswith(f"&lang={language}") for link in found)
    page = client.get(found[0]).content.decode()
    assert f'<html lang="{language}"{direction}>' in page
    assert f'href="{ROOT}?lang={language}"' in page
