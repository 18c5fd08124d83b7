"""Small tables under a row's page: what belongs to it, and the history of its status."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from payments.admin import cells
from payments.models import StatusChange
from payments.states import label_of

SHOWN = 50


@dataclass(frozen=True)
class Table:
    """A title, headers and rows of cells; ``empty`` says what it means that there is nothing."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    empty: str = "Nothing yet."
    more_url: str = ""
    more_text: str = "Show all"
    # A sentence under the table.
    note: str = ""

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """The headers, and whether the cells under each are numbers."""
        first = self.rows[0] if self.rows else self.headers
        return [
            (header, 'class="gp-number"' in str(cell))
            for header, cell in zip(self.headers, first, strict=True)
        ]

    @property
    def labeled_rows(self) -> list[list[tuple[str, Any]]]:
        """The rows, each cell with its header, which a narrow screen shows beside it."""
        return [list(zip(self.headers, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Notice:
    """A sentence above a page: ``tone`` is one of the tones of cells."""

    text: str
    tone: str = cells.BUSY
    title: str = ""


# Who acts without an account.
NOBODY = {"grievance": "the person, or the engine", "entitlement": "the person, or the engine"}


def history(subject: str, subject_id: int, title: str = "History") -> Table:
    """Return the last changes of a row's status, latest first."""
    changes: Iterable[StatusChange] = (
        StatusChange.objects.filter(subject=subject, subject_id=subject_id)
        .select_related("actor")
        .order_by("-id")[:SHOWN]
    )
    return Table(
        title=title,
        headers=("When", "From", "To", "Why", "Note", "Who"),
        rows=[
            (
                cells.moment(change.at),
                cells.label(change.old, label_of(subject, change.old)) if change.old else cells.EMPTY,
                cells.label(change.new, label_of(subject, change.new)),
                change.reason,
                cells.long(change.note),
                cells.person(change.actor) if change.actor else NOBODY.get(subject, "the engine"),
            )
            for change in changes
        ],
        empty="Its status has never changed.",
        more_url=cells.list_of(StatusChange, subject=subject, subject_id=subject_id),
        more_text="Open in the history",
    )
