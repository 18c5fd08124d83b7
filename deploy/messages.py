"""Collects what pages say into the catalogues of languages, and compiles these: `make messages`; then people translate."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "govpay" / "locale"
LANGUAGES = ("es", "ur")
KEYWORDS = DEFAULT_KEYWORDS | {"gettext_lazy": None, "gettext_noop": None, "ngettext_lazy": (1, 2)}
APPS = ("govpay", "ledger", "payments")
# Catalogues carry no time, so that the same texts make the same file.
NEVER = datetime(2026, 1, 1, tzinfo=UTC)


def collect() -> Catalog:
    """Return what code and templates mark for translation, with the files that say it."""
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
    return found


def _sources() -> Iterator[tuple[Path, str]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            yield path, path.read_text()
        for path in sorted((ROOT / app).rglob("*.html")):
            # What is not marked becomes letters without meaning, between calls of gettext.
            yield path, templatize(path.read_text(), origin=str(path))


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
    sys.exit(main())
