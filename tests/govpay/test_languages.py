"""Pages for everybody in English, Spanish and Urdu: whole catalogues, and a choice that nothing has to be stored for."""

import json
import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import translation

from deploy import messages, texts
from govpay.languages import spoken
from govpay.said import SENTENCES, _named, said
from payments.onchain import address
from payments.person import words

PLACES = re.compile(r"%\(\w+\)s")
PAGES = ("/person/claim/", "/person/election/", "/person/grievance/", "/person/grievance/follow/")


@pytest.fixture(params=messages.LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Each language that has a catalogue."""
    return str(request.param)


class TestCatalogues:
    """What people translate, and what Django reads of it."""

    def test_every_language_but_english_has_one(self) -> None:
        assert {code for code, _ in settings.LANGUAGES} == {"en", *messages.LANGUAGES}

    def test_has_every_text_that_pages_say(self, language: str) -> None:
        found = messages.read(language)
        left = [said.id for said in messages.collect() if said.id and not _strings(found.get(said.id))]
        assert left == [], "`make messages` collects them; then somebody translates."

    def test_has_no_text_that_nobody_says(self, language: str) -> None:
        said = messages.collect()
        assert [text.id for text in messages.read(language) if text.id and said.get(text.id) is None] == []

    def test_leaves_what_is_filled_in(self, language: str) -> None:
        for text in messages.read(language):
            ids = text.id if isinstance(text.id, tuple) else (text.id,)
            for string in _strings(text) if text.id else ():
                assert set(PLACES.findall(string)) == set(PLACES.findall(ids[-1])), text.id

    def test_is_compiled_as_it_stands(self, language: str) -> None:
        path = messages.path_of(language).with_suffix(".mo")
        assert path.read_bytes() == messages.compiled(messages.read(language))


class TestSentences:
    """What services say of a thing, said in another language with the thing in it."""

    def test_are_kept_as_code_has_them(self) -> None:
        assert json.loads(SENTENCES.read_text()) == messages.with_places()

    def test_are_translated_with_all_that_they_name(self, language: str) -> None:
        for sentence in messages.with_places():
            things = [f"q{n}z" for n in range(len(texts.PLACE.findall(sentence)))]
            with translation.override(language):
                found = said(sentence.format(*things))
            assert found != sentence.format(*things), sentence
            assert set(re.findall(r"q\d+z", found)) == set(things), sentence

    @pytest.mark.parametrize(
        ("text", "in_spanish"),
        [
            ("There is no list 12.", "No hay una lista 12."),
            (
                "A sentence of somebody that nobody translated.",
                "A sentence of somebody that nobody translated.",
            ),
        ],
    )
    def test_are_said_where_a_page_is_written(self, text: str, in_spanish: str) -> None:
        with translation.override("es"):
            assert said(text) == in_spanish
        assert said(text) == text

    @pytest.mark.parametrize(
        ("text", "sentence", "named"),
        [
            ("List 5 is held.", "List {0} is {1}.", ["5", "held"]),
            ("a: b: c.", "{0}: {1}.", ["a", "b: c"]),
            ("List  is held.", "List {0} is {1}.", None),
            ("List 5 is .", "List {0} is {1}.", None),
            ("List 5 is", "List {0} is {1}.", None),
            ("xy.", "{0}{1}.", ["x", "y"]),
            ("." * 100_000, "{0}: {1}: {2}: {3}.", None),
        ],
    )
    def test_name_what_stands_between_their_parts(
        self, text: str, sentence: str, named: list[str] | None
    ) -> None:
        assert _named(text, texts.PLACE.split(sentence)) == named

    def test_are_whole_sentences_that_say_more_than_they_name(self) -> None:
        module = """
'''About rows and what is wrong with them.'''
def check(row):
    raise Wrong(f"Row {row} has {len(row):,} values too many.")
    raise Wrong("There is nothing.")
    raise Wrong("There is {nothing} here.")
    raise Wrong(f"{row} {row}.")
    log("nothing happened here.")
"""
        assert sorted(texts.sentences(module)) == ["Row {0} has {1} values too many.", "There is nothing."]


def _strings(text: object) -> list[str]:
    string = getattr(text, "string", None) or ""
    every = list(string) if isinstance(string, (list, tuple)) else [string]
    return every if all(every) else []


@pytest.fixture
def view() -> Callable[..., HttpResponse]:
    """A view that says which language is spoken, and how links end."""

    @spoken
    def show(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{translation.get_language()} {request.language_query}")  # type: ignore[attr-defined]

    return show


class TestChoice:
    """Which language a visitor is spoken to in."""

    @pytest.mark.parametrize(
        ("address_", "accepts", "said"),
        [
            ("/", "", "en "),
            ("/", "ur", "ur "),
            ("/", "es-MX,es;q=0.9,en;q=0.8", "es "),
            ("/", "fr", "en "),
            ("/?lang=ur", "es", "ur ?lang=ur"),
            ("/?lang=en", "es", "en ?lang=en"),
            ("/?lang=fr", "es", "es "),
            ("/?lang=%00%27%22><script>", "", "en "),
            ("/?lang=../../etc", "ur", "ur "),
        ],
    )
    def test_is_the_address_then_the_browser(
        self, view: Callable[..., HttpResponse], address_: str, accepts: str, said: str
    ) -> None:
        headers = {"Accept-Language": accepts} if accepts else {}
        answer = view(RequestFactory().get(address_, headers=headers))
        assert answer.content.decode() == said
        assert answer["Content-Language"] == said.split(" ")[0]
        assert "Accept-Language" in answer["Vary"]

    def test_does_not_stay(self, view: Callable[..., HttpResponse]) -> None:
        view(RequestFactory().get("/?lang=ur"))
        assert translation.get_language() == "en"


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
class TestPagesOfPeople:
    """The pages of the people who are paid."""

    def test_run_from_right_to_left_in_urdu(self, client: Client, page: str) -> None:
        text = client.get(page, {"lang": "ur"}).content.decode()
        assert '<html lang="ur" dir="rtl">' in text
        assert "آپ" in text

    def test_lead_to_pages_in_the_same_language(self, client: Client, page: str) -> None:
        text = client.get(page, {"lang": "es"}).content.decode()
        links = re.findall(r'href="(/person/[^"]*)"', text)
        assert links
        assert all(link.endswith("?lang=es") for link in links)

    def test_offer_the_others(self, client: Client, page: str) -> None:
        text = client.get(page, {"lang": "es"}).content.decode()
        assert set(re.findall(r'href="\?lang=(\w+)"', text)) == {"en", "ur"}
        assert '<span lang="es" aria-current="true">Español</span>' in text

    def test_store_nothing_for_it(self, client: Client, page: str) -> None:
        client.get(page, {"lang": "ur"})
        assert settings.LANGUAGE_COOKIE_NAME not in client.cookies


@pytest.mark.django_db
class TestRefusals:
    """What people are told when something is wrong."""

    def test_are_translated(self, client: Client) -> None:
        body = {"number": "1", "secret": "x" * 26}
        answer = client.post("/person/grievance/follow/?lang=es", body)
        assert answer.status_code == 404
        assert "No hay ningún reclamo con este número y este código." in answer.content.decode()

    def test_of_fields_too(self, client: Client) -> None:
        answer = client.post("/person/claim/?lang=ur", {"secret": "", "national_id": ""})
        assert "یہ خانہ درکار" in answer.content.decode()

    def test_there_is_one_for_every_fault_of_an_address(self) -> None:
        assert set(address._MESSAGES) <= set(words.PROBLEMS)
