"""Imports: what asks for one, how far it is, and what it would store."""

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api import parsers
from govpay.api.serializers import Hash, StrictSerializer, Text, Whole
from payments.api.serializers.fields import Minor, OwnUnit, Satoshi, Username
from payments.models.intake import IntakeKind
from payments.states import ImportStatus


class TemplateQuery(StrictSerializer):
    """Of which currency the list is."""

    currency = Text(
        required=False, help_text="A code of ISO 4217, such as PKR, for a program of money; else sat."
    )


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class ColumnNames(serializers.Field[Any, Any, dict[str, str], Any]):
    """The name of each field's column in a file's own header: a JSON object in a field of the form."""

    default_error_messages = {"invalid": "Give a JSON object of names: each field's, and its column's."}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        try:
            found = json.loads(data, object_pairs_hook=parsers.without_duplicates)
        except (TypeError, ValueError, RecursionError):
            self.fail("invalid")
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
            self.fail("invalid")
        return found


class NewImport(StrictSerializer):
    """A CSV file to check; a list's cycle and control totals are required, people's count is compared where it is given."""

    kind = serializers.ChoiceField(choices=IntakeKind.choices)
    file = serializers.FileField(allow_empty_file=True)
    accept_partial = serializers.BooleanField(
        required=False, help_text="Of people: enroll the good rows although others are bad."
    )
    period = Text(required=False, help_text="Of a list: 1 to 20 letters, digits and hyphens.")
    purpose = Text(required=False, help_text="Of a list: 1 to 40 small letters, digits and hyphens.")
    expected_count = Whole(required=False, min_value=0, max_value=2**31 - 1)
    expected_total_sat = Satoshi(required=False)
    expected_total_minor = Satoshi(required=False, help_text="Of a list of money.")
    is_urgent = serializers.BooleanField(required=False)
    columns = ColumnNames(
        required=False,
        help_text="Where the file's columns have other names than the fields: a JSON object of each field's name and its"
        " column's in the file's header. Columns that are not named are left alone.",
    )

    OF_LISTS = ("period", "purpose", "expected_count")
    NOT_OF_PEOPLE = ("period", "purpose", "expected_total_sat", "expected_total_minor", "is_urgent")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is missing for the kind of file, and what belongs to the other kind."""
        is_list = attrs["kind"] == IntakeKind.LINES
        missing = [name for name in self.OF_LISTS if is_list and name not in attrs]
        # A form that leaves a box out says no to it.
        of_other = ("accept_partial",) if is_list else self.NOT_OF_PEOPLE
        strange = [name for name in of_other if attrs.pop(name, False) is not False]
        errors = {name: serializers.ErrorDetail("A list needs it.", code="required") for name in missing}
        errors |= {
            name: serializers.ErrorDetail("This kind of file has no such field.", code="unknown_field")
            for name in strange
        }
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


class ImportOut(OwnUnit):
    """A file that is imported in the background, and how far it is."""

    OWN = ("expected_total", "total")

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=IntakeKind.choices)
    status = serializers.ChoiceField(choices=ImportStatus.choices)
    accept_partial = serializers.BooleanField()
    period = serializers.CharField(allow_blank=True)
    purpose = serializers.CharField(allow_blank=True)
    is_urgent = serializers.BooleanField()
    expected_count = serializers.IntegerField(allow_null=True)
    expected_total_minor = Minor()
    expected_total_sat = serializers.IntegerField(source="expected_total", allow_null=True)
    columns = serializers.SerializerMethodField()
    filename = serializers.CharField(allow_blank=True)
    size_bytes = serializers.IntegerField()
    sha256 = Hash()
    rows_total = serializers.IntegerField(help_text="By its line ends until the file is read.")
    rows_done = serializers.IntegerField(help_text="Rows that are checked.")
    errors_count = serializers.IntegerField(help_text="Rows that are wrong, once all are checked.")
    total_minor = Minor()
    total_sat = serializers.IntegerField(
        source="total", allow_null=True, help_text="Of a list, once all is checked."
    )
    code = serializers.CharField(allow_blank=True, help_text="Why it was refused or given up.")
    message = serializers.CharField(allow_blank=True)
    intake_id = serializers.IntegerField(allow_null=True, help_text="The record of what became of it.")
    disbursement_id = serializers.SerializerMethodField()
    made_by = Username()
    made_at = serializers.DateTimeField()
    confirmed_by = Username(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    checked_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    emptied_at = serializers.DateTimeField(
        allow_null=True, help_text="When file, rows and errors were deleted."
    )

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": {"type": "integer"}})
    def get_columns(self, job: Any) -> dict[str, int] | None:
        """Return in which column of the file, from 1, each field is; null where the header has the fields' own names."""
        found: dict[str, int] | None = job.columns
        return found

    @extend_schema_field({"type": ["integer", "null"]})
    def get_disbursement_id(self, job: Any) -> int | None:
        """Return the list that the file made."""
        made = getattr(job.intake, "disbursement", None)
        return None if made is None else made.pk


class FaultTally(serializers.Serializer[Any]):
    """How many faults of a code were kept."""

    code = serializers.CharField()
    column = serializers.CharField(allow_blank=True)
    count = serializers.IntegerField()


class PreviewRow(serializers.Serializer[Any]):
    """A row as it would be stored; what is known of a person is masked."""

    row = serializers.IntegerField()
    reference = serializers.CharField()
    full_name = serializers.CharField(allow_null=True)
    phone = serializers.CharField(allow_null=True)
    address = serializers.CharField(allow_null=True)
    consent_version = serializers.CharField(allow_null=True)
    consent_date = serializers.DateField(allow_null=True)
    amount_minor = serializers.IntegerField(allow_null=True)
    amount_sat = serializers.IntegerField(allow_null=True)


class ImportDetail(ImportOut):
    """An import with its errors by code, and its first rows for officers of the program; null to others."""

    faults = FaultTally(many=True, source="fault_tallies")
    preview = PreviewRow(many=True, allow_null=True)
