"""Exports of the journal: one reading of the books, written as CSV, JSON lines, beancount, hledger or camt.053, streamed."""

from collections.abc import Generator
from contextlib import closing

from ledger.exports import beancount, camt053, hledger, jsonlines, tabular
from ledger.exports.form import Form, UnknownForm, in_chunks
from ledger.exports.source import Selection, read, snapshot

FORMS = {
    form.name: form for form in (tabular.FORM, jsonlines.FORM, beancount.FORM, hledger.FORM, camt053.FORM)
}

__all__ = ["FORMS", "Form", "Selection", "UnknownForm", "get_form", "journal"]


def get_form(name: str) -> Form:
    """Return a form of the journal; raise UnknownForm."""
    if name not in FORMS:
        raise UnknownForm(f"There is no form {name!r}; there are {', '.join(FORMS)}.", form=name)
    return FORMS[name]


def journal(selection: Selection, form: str) -> Generator[str]:
    """Yield the selected entries as text, some 64 KiB at a time; raise UnknownForm before the first.

    camt053.NoStatement and NotFound come with the first, where there is no such statement. A database
    transaction is open until the last piece is taken: all of it is one snapshot of the books.
    """
    write = get_form(form).write

    def pieces() -> Generator[str]:
        # Whoever stops in between leaves the entries' cursor before the database transaction, not after it.
        with snapshot():
            found = read(selection)
            with closing(found.entries):
                yield from in_chunks(write(found))

    return pieces()
