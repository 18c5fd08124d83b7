"""What lists and pages of the admin show of an import's row."""

from django.utils.html import format_html
from unfold.decorators import display

from govpay.said import said
from payments.admin import cells, import_columns
from payments.models import ImportJob


class ImportFacts:
    """One fact a method, as it is written on the screen."""

    @display(description="import")
    def number(self, row: ImportJob) -> str:
        """The row's number."""
        return f"Import {row.pk}"

    @display(description="kind")
    def kind_name(self, row: ImportJob) -> str:
        """What the file lists."""
        return str(row.get_kind_display())

    @display(description="status")
    def state(self, row: ImportJob) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="checked")
    def progress(self, row: ImportJob) -> str:
        """How many rows are checked, and a bar."""
        text = said("{0} of {1} rows", f"{row.rows_done:,}", f"{row.rows_total:,}")
        return format_html(
            '<progress max="{}" value="{}" aria-label="{}"></progress> {}',
            max(row.rows_total, 1),
            row.rows_done,
            text,
            text,
        )

    @display(description="cycle")
    def cycle_name(self, row: ImportJob) -> str:
        """A list's period and purpose."""
        return cells.long(f"{row.period} {row.purpose}".strip())

    @display(description="rows")
    def rows(self, row: ImportJob) -> str:
        """How many rows the file has."""
        return cells.number(row.rows_total)

    @display(description="wrong rows")
    def bad(self, row: ImportJob) -> str:
        """How many are wrong."""
        return cells.number(row.errors_count)

    @display(description="rows expected")
    def expected(self, row: ImportJob) -> str:
        """The control total of rows."""
        return cells.number(row.expected_count)

    @display(description="total")
    def sum_found(self, row: ImportJob) -> str:
        """What the list pays."""
        return cells.money(row.total, row.program)

    @display(description="total expected")
    def sum_expected(self, row: ImportJob) -> str:
        """The control total of amounts."""
        return cells.money(row.expected_total, row.program)

    @display(description="file")
    def file(self, row: ImportJob) -> str:
        """The file's name."""
        return cells.long(row.filename)

    @display(description="columns")
    def mapped(self, row: ImportJob) -> str:
        """Which column holds what."""
        return cells.long(said(import_columns.in_words(row)))

    @display(description="bytes")
    def size(self, row: ImportJob) -> str:
        """The file's size."""
        return cells.number(row.size_bytes)

    @display(description="SHA-256")
    def hash(self, row: ImportJob) -> str:
        """The file's hash."""
        return cells.whole(row.sha256)

    @display(description="brought by")
    def who(self, row: ImportJob) -> str:
        """Who brought it."""
        return cells.person(row.made_by)

    @display(description="brought")
    def at(self, row: ImportJob) -> str:
        """When."""
        return cells.moment(row.made_at)

    @display(description="confirmed")
    def confirmed(self, row: ImportJob) -> str:
        """Who let it count, and when."""
        if row.confirmed_by is None:
            return cells.EMPTY
        return cells.join(cells.person(row.confirmed_by), cells.moment(row.confirmed_at))

    @display(description="became")
    def became(self, row: ImportJob) -> str:
        """The record of the file, and the list that it made."""
        if row.intake is None:
            return cells.EMPTY
        made = getattr(row.intake, "disbursement", None)
        return cells.join(
            cells.link(row.intake, f"File {row.intake_id}"),
            "" if made is None else cells.link(made, f"List {made.pk}"),
        )
