"""Says in the reader's language what code names in English, where a page is written and nowhere before (ADR 65).

Texts are looked up as they are; else with their numbers taken out: ``List 5`` is the text ``List {0}``; sentences also with
whatever they name taken out, by the sentences that services say. Marked-up text is of cells that have been written already,
and stays.
"""

import functools
import json
import re
from pathlib import Path
from typing import Any, overload

from django.conf import settings
from django.forms import BaseForm
from django.forms.utils import pretty_name
from django.utils.functional import Promise, lazy
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext

NUMBER = re.compile(r"\d(?:[\d,.:/-]*\d)?")
PLACE = re.compile(r"\{\d+\}")
# The sentences with places that services say, as `make messages` finds them.
SENTENCES = Path(__file__).parent / "locale" / "sentences.json"
ENDS = (".", "!", "?")


@overload
def said(text: str, *filled: Any) -> str: ...
@overload
def said(text: Any) -> Any: ...
def said(text: Any, *filled: Any) -> Any:
    """Return the text in the language of the page; ``filled`` stands where it has ``{0}``, ``{1}``..."""
    if filled:
        return gettext(text).format(*map(said, filled))
    if isinstance(text, Promise):
        return str(text)
    if not isinstance(text, str) or isinstance(text, SafeString) or not text:
        return text
    if get_language() == settings.LANGUAGE_CODE:
        return text
    if (found := gettext(text)) != text:
        return found
    pattern = without_numbers(text)
    if (found := gettext(pattern)) != pattern:
        return found.format(*NUMBER.findall(text))
    return _said_by_sentence(text) if text.endswith(ENDS) else text


def without_numbers(text: str) -> str:
    """Return the text as catalogues have it: ``{0}`` in the place of its first number, and so on."""
    places = iter(range(len(text)))
    return NUMBER.sub(lambda _: f"{{{next(places)}}}", text)


def _said_by_sentence(text: str) -> str:
    """Return a sentence in the language of the page, with what it names in the places that the translation has for it."""
    for sentence, parts in _sentences():
        if (named := _named(text, parts)) is not None:
            return gettext(sentence).format(*map(said, named))
    return text


def _named(text: str, parts: list[str]) -> list[str] | None:
    """Return what stands between the parts of a sentence, or None where the text is another.

    Each part is taken where it comes first, so that the time is in step with the text, whatever somebody typed into it.
    """
    first, *middle, last = parts
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last):
        return None
    found, at = [], len(first)
    for part in middle:
        begin = text.find(part, at + 1, end)
        if begin < 0:
            return None
        found.append(text[at:begin])
        at = begin + len(part)
    return [*found, text[at:end]] if at < end else None


@functools.cache
def _sentences() -> list[tuple[str, list[str]]]:
    """Return the sentences with places, and their parts between these, those that say most first."""
    known = [(text, PLACE.split(text)) for text in json.loads(SENTENCES.read_text())]
    return sorted(known, key=lambda each: sum(map(len, each[1])), reverse=True)


said_later = lazy(said, str)


def say_form(form: BaseForm) -> None:
    """Say the labels, the help and the choices of a form's fields."""
    for name, field in form.fields.items():
        field.label = said(pretty_name(name) if field.label is None else field.label)
        field.help_text = said(field.help_text)
        choices: Any = getattr(field, "choices", None)
        if isinstance(choices, list):
            field.choices = [(value, said(label)) for value, label in choices]  # type: ignore[attr-defined]
