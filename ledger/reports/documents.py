"""All that can be asked for and in which forms: the reports, the journal, the statement of an account."""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from ledger import exports
from ledger.exports import camt053
from ledger.exports.form import UnknownForm, in_chunks
from ledger.reports import REPORTS, Asked, Report, Table, files, pdf, signing, tabulate
from ledger.reports.report import Document, UnknownReport

JOURNAL = Document(
    name="journal",
    title="Journal",
    meaning="Every entry with its lines. For beancount and hledger it begins with what stood before and ends with what must"
    " stand then, which these programs check.",
    takes=("scope", "account"),
)
STATEMENT = Document(
    name="account-statement",
    title="Statement of an account",
    meaning="What came to one asset account and left it, as banks say it (ISO 20022 camt.053.001.08). Satoshis stand under"
    " XTS, the code that ISO 4217 reserves for tests.",
    takes=("account",),
    needs=("account",),
)
DOCUMENTS: dict[str, Document] = {**REPORTS, JOURNAL.name: JOURNAL, STATEMENT.name: STATEMENT}


class Form(NamedTuple):
    """A form of a document: its name, the ending of its file, its media type."""

    name: str
    suffix: str
    media_type: str


CSV, JSONL = Form("csv", "csv", "text/csv"), Form("jsonl", "jsonl", "application/jsonl")
PDF, SIGNED = Form("pdf", "pdf", "application/pdf"), Form("signed", "zip", "application/zip")
FORMS = {
    form.name: form
    for form in (CSV, JSONL, PDF, SIGNED, *(Form(*form[:3]) for form in exports.FORMS.values()))
}


def get_document(name: str) -> Document:
    """Return a document by its name; raise UnknownReport."""
    if name not in DOCUMENTS:
        raise UnknownReport(f"There is no report {name!r}; there are {', '.join(DOCUMENTS)}.", report=name)
    return DOCUMENTS[name]


def may_have(document: Document, user: Any) -> bool:
    """Say whether a reader of the books may have this document."""
    return not document.right or bool(user.has_perm(document.right))


def forms_of(document: Document) -> list[Form]:
    """Return the forms in which a document can be had, the usual one first."""
    if isinstance(document, Report):
        return [CSV, JSONL, PDF, SIGNED] if document.signed else [CSV, JSONL]
    if document == STATEMENT:
        return [FORMS[camt053.FORM.name]]
    return [FORMS[name] for name in exports.FORMS if name != camt053.FORM.name]


def produce(document: Document, form: str, asked: Asked) -> Iterator[bytes]:
    """Yield a document piece by piece, as long as the books are.

    Raises before the first piece: UnknownForm, pdf.TooLong, for a signed one checkpoints.NoSealKey where there is no key and
    signing.TimeNotOver, camt053.NoStatement for an account without a statement.
    """
    if form not in [known.name for known in forms_of(document)]:
        names = ", ".join(known.name for known in forms_of(document))
        raise UnknownForm(f"{document.title} can be had as {names}, not as {form!r}.", form=form)
    if not isinstance(document, Report):
        return _journal(form, asked)
    whole: dict[str, Callable[[Table], bytes]] = {PDF.name: pdf.write, SIGNED.name: signing.write}
    if form in whole:
        with tabulate(document, asked) as table:
            return iter([whole[form](table)])
    return _pieces(document, files.write_csv if form == CSV.name else files.write_jsonl, asked)


def filename(document: Document, form: str, asked: Asked) -> str:
    """Name the file after what is in it: document, scope, person, and the last day that counts."""
    whose = (each for each in (asked.scope, asked.person) if each is not None)
    last = (asked.values()["as_of"]).date()
    words = (document.name, *(re.sub("[^A-Za-z0-9]", "-", each) for each in whose), str(last))
    return f"{'-'.join(words)}.{FORMS[form].suffix}"


def _journal(form: str, asked: Asked) -> Iterator[bytes]:
    if form == camt053.FORM.name:
        camt053.require(asked.account)
    selection = exports.Selection(
        scope=asked.scope,
        account=asked.account,
        effective_from=asked.since,
        effective_before=asked.before,
        known_at=asked.known_at,
    )
    return _encoded(exports.journal(selection, form))


def _encoded(pieces: Generator[str]) -> Iterator[bytes]:
    with closing(pieces):
        for piece in pieces:
            yield piece.encode()


def _pieces(report: Report, write: Callable[[Table], Iterator[str]], asked: Asked) -> Iterator[bytes]:
    with tabulate(report, asked) as table:
        for piece in in_chunks(write(table)):
            yield piece.encode()
