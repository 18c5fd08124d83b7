"""Collects what pages say into the catalogues of languages, and compiles these: `make messages`; then people translate."""

import functools
import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import django
import unfold
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from deploy import texts
from govpay.said import SENTENCES

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "govpay" / "locale"
LANGUAGES = ("es", "ur")
KEYWORDS = DEFAULT_KEYWORDS | {"gettext_lazy": None, "gettext_noop": None, "ngettext_lazy": (1, 2)}
APPS = ("govpay", "ledger", "payments")
# Where texts need no mark: what code names in English is said where a page is written (govpay/said.py, ADR 65).
SAID = ("govpay/admin.py", "govpay/login", "ledger/admin", "payments/admin", "payments/payout/causes.py")
# What is refused, asked for and found by what pages show; programs that are read by people who run them speak English.
SAYING = (
    *(
        "govpay/errors.py",
        "govpay/login",
        "govpay/tokens.py",
        "ledger/law",
        "ledger/periods.py",
        "ledger/reconciliation",
    ),
    *("ledger/reports", "ledger/treasury", "ledger/chart.py", "ledger/books"),
    *(
        "payments/models",
        "payments/onchain",
        "payments/payout",
        "payments/prices",
        "payments/rails",
        "payments/reserve",
    ),
    *("payments/selectors", "payments/services", "payments/trust"),
)
# The theme marks its texts, and has no catalogue; Django's own are used for what both say.
THEME = Path(unfold.__file__).parent
# Of Django's what its catalogues lack in one of the languages, or say otherwise than an office does.
OF_DJANGO = (
    *("Select %s to view", " By %(filter_title)s ", "username", "password", "Password", "Home"),
    *("Log in", "Log out", "Change password"),
)
MARKED = re.compile(r"""(?:\btrans(?:late)?\s+|\b_\()"([^"]+)"|(?:\btrans(?:late)?\s+|\b_\()'([^']+)'""")
# Catalogues carry no time, so that the same texts make the same file.
NEVER = datetime(2026, 1, 1, tzinfo=UTC)


def collect() -> Catalog:
    """Return what code and templates say, with the files that say it."""
    found = Catalog(fuzzy=False, creation_date=NEVER)
    for path, text in _sources():
        source = BytesIO(text.encode())
        for _, message, comments, context in extract(
            "python", source, KEYWORDS, options={"encoding": "utf-8"}
        ):
            found.add(
                message,
                locations=[(str(path.relative_to(ROOT)), None)],
                auto_comments=comments,
                context=context,
            )
    for path in _modules(SAID):
        for text in texts.literals(path.read_text()):
            if not _is_djangos(text):
                found.add(text, locations=[(str(path.relative_to(ROOT)), None)])
    for path, text in said_whole():
        if not _is_djangos(text):
            found.add(text, locations=[(str(path.relative_to(ROOT)), None)])
    for path in sorted((ROOT / "payments").rglob("*.py")):
        for text in texts.beginnings(path.read_text()):
            found.add(text, locations=[(str(path.relative_to(ROOT)), None)])
    for text in texts.names():
        if not _is_djangos(text):
            found.add(text, locations=[("govpay/naming.py", None)])
    for text in _of_theme():
        if not _is_djangos(text):
            found.add(text, locations=[("unfold", None)])
    for text in OF_DJANGO:
        found.add(text, locations=[("django", None)])
    return found


def _sources() -> Iterator[tuple[Path, str]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            yield path, path.read_text()
        for path in sorted((ROOT / app).rglob("*.html")):
            # What is not marked becomes letters without meaning, between calls of gettext; how it was indented, nothing.
            marked = templatize(path.read_text(), origin=str(path))
            yield path, "\n".join(line.lstrip() for line in marked.splitlines())


def said_whole() -> Iterator[tuple[Path, str]]:
    """Yield the sentences of what is refused, asked for and found."""
    for path in _modules(SAYING):
        source = path.read_text()
        for text in (*texts.sentences(source), *texts.checks(source)):
            yield path, text


def with_places() -> list[str]:
    """Return those of them that name something."""
    return sorted({text for _, text in said_whole() if texts.PLACE.search(text)})


def _modules(places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        path = ROOT / place
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _of_theme() -> Iterator[str]:
    """Yield what the theme marks, for it has no catalogue."""
    places = (THEME / "templates", THEME / "contrib" / "filters", THEME / "overrides")
    for path in sorted(
        path for place in places for path in place.rglob("*") if path.suffix in (".html", ".py")
    ):
        yield from (a or b for a, b in MARKED.findall(path.read_text()))
    for path in sorted(THEME.glob("*.py")):
        yield from (a or b for a, b in MARKED.findall(path.read_text()))


@functools.cache
def _djangos() -> frozenset[str]:
    """Return what Django's own catalogues have in every language."""
    packages = [Path(django.__file__).parent / part for part in ("conf", "contrib/admin", "contrib/auth")]
    return frozenset.intersection(
        *(
            frozenset().union(*(_texts_of(each / "locale" / language / "LC_MESSAGES") for each in packages))
            for language in LANGUAGES
        )
    )


def _texts_of(folder: Path) -> frozenset[str]:
    with (folder / "django.mo").open("rb") as file:
        return frozenset(message.id for message in read_mo(file) if isinstance(message.id, str))


def _is_djangos(text: str) -> bool:
    return text in _djangos()


def read(language: str) -> Catalog:
    """Return the catalogue of a language as it is stored."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language)


def path_of(language: str) -> Path:
    """Return where a language's catalogue is."""
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def compiled(catalog: Catalog) -> bytes:
    """Return the bytes that Django reads."""
    output = BytesIO()
    write_mo(output, catalog)
    return output.getvalue()


def main() -> int:
    """Bring the catalogues up to date; return 1 where a text is not translated yet."""
    missing = 0
    SENTENCES.write_text(json.dumps(with_places(), ensure_ascii=False, indent=0) + "\n")
    template = collect()
    for language in LANGUAGES:
        path = path_of(language)
        catalog = read(language)
        catalog.update(template, no_fuzzy_matching=True, update_creation_date=False)
        catalog.project, catalog.version, catalog.header_comment = (
            "govpay",
            "1",
            f"# What pages say, in {language}.",
        )
        catalog.creation_date = catalog.revision_date = NEVER
        catalog.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalog, width=0, sort_by_file=True, include_lineno=False)
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        left = [message.id for message in catalog if message.id and not all(_strings(message.string))]
        missing += len(left)
        print(f"{path.relative_to(ROOT)}: {len(catalog)} texts, {len(left)} of them not translated")
    return int(missing > 0)


def _strings(string: object) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, (tuple, list)) else (str(string or ""),)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")
    django.setup()
    sys.exit(main())
