"""What a report is: a name, columns with their units, one statement, and what may be asked of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from govpay.errors import NotFound

if TYPE_CHECKING:
    from ledger.reports.asked import Asked

TIMES = ("month", "period", "since", "before", "known_at")


class UnknownReport(NotFound):
    """There is no report of this name."""

    code = "unknown_report"


class Unit(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"  # A count, or days; None where there is none.
    UNITS = "units"  # Whole units of 10 ** -scale of the row's currency, in its columns of these names.
    SHARE = "share"  # In 1/10,000; None where there is nothing to share.
    MOMENT = "moment"


class Column(NamedTuple):
    """A column: its name in files, its heading for people, what it holds."""

    name: str
    heading: str
    unit: Unit = Unit.TEXT


CURRENCY = (Column("currency", "Currency"), Column("scale", "Scale", Unit.NUMBER))
ELEMENTS = (
    Column("entity", "Entity"),
    Column("function", "Function"),
    Column("object", "Object"),
    Column("fund", "Fund"),
    Column("project", "Project"),
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """What may be asked for: ``takes`` are the parameters besides times that it knows, ``needs`` those it must have.

    Without ``has_beginning`` it tells what stands at the end of the time. ``right`` is what its reader needs besides reading
    the books. One that is ``of_lots`` is of institutions that have lots, which need no accounts.
    """

    name: str
    title: str
    meaning: str
    takes: tuple[str, ...] = ("scope",)
    needs: tuple[str, ...] = ()
    has_beginning: bool = True
    right: str = ""
    of_lots: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """All that may be asked."""
        return (*self.takes, *(name for name in TIMES if self.has_beginning or name != "since"))


@dataclass(frozen=True, kw_only=True)
class Report(Document):
    """A document of columns: ``sql`` yields them in order, from the values of an `Asked`, in one statement.

    Where ``derive`` is given, it makes the rows of those that the statement yields, as they come.
    One that is ``signed`` is made as PDF too: its rows are as many as accounts or months, not as entries.
    """

    columns: tuple[Column, ...]
    sql: str
    derive: "Callable[[Iterator[tuple[Any, ...]], Asked], Iterator[tuple[Any, ...]]] | None" = None
    signed: bool = True
