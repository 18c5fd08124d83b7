"""Redactions in the admin: offered to those who may black out, asked for by one, agreed to by another, seen by readers."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ledger.models import LeafPayload, Redaction, RedactionRequest
from ledger.seals import redaction, sealer
from tests import factories
from tests.ledger.seals.scene import post

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")
LIST = "/admin/ledger/redactionrequest/"
ASK = f"{LIST}ask/"
WHY = "The memo named a person."


@pytest.fixture
def entry_id() -> int:
    """A sealed entry."""
    (found,) = post("a")
    sealer.seal()
    return found


@pytest.fixture
def clerk(entry_id: int) -> User:
    return factories.make_user("clerk", "ledger.view_entry", redaction.RIGHT)


@pytest.fixture
def judge(entry_id: int) -> User:
    return factories.make_user("judge", "ledger.view_entry", redaction.RIGHT)


@pytest.fixture
def reader(entry_id: int) -> User:
    return factories.make_user("reader", "ledger.view_entry")


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, url: str) -> str:
    answer = client.get(url, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def agree_of(row: RedactionRequest) -> str:
    return f"{LIST}{row.pk}/agree/"


class TestAsk:
    def test_begins_on_the_entry(self, entry_id: int, clerk: User, reader: User) -> None:
        entry = f"/admin/ledger/entry/{entry_id}"
        assert f"{entry}/redact/" in page(browser(clerk), f"{entry}/change/")
        assert f"{entry}/redact/" not in page(browser(reader), f"{entry}/change/")
        assert f'value="{entry_id}"' in page(browser(clerk), f"{entry}/redact/")

    def test_waits_for_a_second_person(self, entry_id: int, clerk: User, judge: User) -> None:
        answer = browser(clerk).post(ASK, {"entry_id": entry_id, "why": WHY})
        asked = RedactionRequest.objects.get()
        assert (answer.status_code, answer["Location"]) == (302, f"{LIST}{asked.pk}/change/")
        assert "waits for a second person" in page(browser(clerk), LIST)
        assert LeafPayload.objects.count() == 1
        assert agree_of(asked) in page(browser(judge), answer["Location"])
        assert agree_of(asked) not in page(browser(clerk), answer["Location"])

    @pytest.mark.parametrize(
        "form", [{}, {"entry_id": "1", "index": "0"}, {"index": "-1"}, {"index": "9" * 30}]
    )
    def test_names_one_thing(self, clerk: User, form: dict[str, str]) -> None:
        assert browser(clerk).post(ASK, {**form, "why": WHY}).status_code == 422
        assert not RedactionRequest.objects.exists()

    def test_says_what_is_not_sealed(self, clerk: User) -> None:
        answer = browser(clerk).post(ASK, {"index": "7", "why": WHY})
        assert (answer.status_code, "There is no leaf 7." in answer.content.decode()) == (422, True)


class TestAgree:
    def test_blacks_out_and_says_by_whom(self, entry_id: int, clerk: User, judge: User, reader: User) -> None:
        asked = redaction.ask(by=clerk, why=WHY, entry_id=entry_id)
        assert WHY in page(browser(judge), agree_of(asked))
        assert not Redaction.objects.exists()
        assert browser(judge).post(agree_of(asked)).status_code == 302
        assert LeafPayload.objects.count() == 0
        text = page(browser(reader), f"{LIST}{asked.pk}/change/")
        for word in ("blacked out", "clerk", "judge", WHY, f"Entry {entry_id}"):
            assert word in text
        assert agree_of(asked) not in page(browser(judge), f"{LIST}{asked.pk}/change/")

    def test_is_another_persons(self, entry_id: int, clerk: User) -> None:
        asked = redaction.ask(by=clerk, why=WHY, entry_id=entry_id)
        answer = browser(clerk).post(agree_of(asked))
        assert (answer.status_code, "cannot agree to it" in answer.content.decode()) == (422, True)
        assert LeafPayload.objects.count() == 1

    def test_is_denied_to_readers(self, entry_id: int, clerk: User, reader: User) -> None:
        asked = redaction.ask(by=clerk, why=WHY, entry_id=entry_id)
        for url in (ASK, agree_of(asked)):
            assert browser(reader).post(url).status_code in (302, 403)
        assert LeafPayload.objects.count() == 1
        assert not Redaction.objects.exists()

    @pytest.mark.parametrize("number", ["999", "x", "9" * 30])
    def test_knows_no_other_number(self, judge: User, number: str) -> None:
        assert browser(judge).get(f"{LIST}{number}/agree/").status_code == 404
