"""People: enrollments, destinations, and the files that brought them."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import Hash, Hex, StrictSerializer, Text
from payments.api.serializers.fields import Address, Username
from payments.models.beneficiary import mask_phone
from payments.models.intake import IntakeKind, IntakeStatus
from payments.selectors.people import masked

# Of one JSON request; more are a file.
MOST_AT_ONCE = 1_000


class NewEnrollment(StrictSerializer):
    """One person, by the rules of a file."""

    reference = Text(allow_blank=True)
    national_id = Text(allow_blank=True, write_only=True)
    full_name = Text(allow_blank=True)
    phone = Text(allow_blank=True, default="")
    address = Text(allow_blank=True)
    consent_version = Text(
        allow_blank=True,
        default="",
        help_text="Of the text that the person agreed to; with it goes the date.",
    )
    consent_date = Text(allow_blank=True, default="", help_text="When the person agreed, as 2026-11-29.")


class NewEnrollments(StrictSerializer):
    """Up to a thousand people; the first of them is row 1 of what is refused."""

    people = serializers.ListField(child=NewEnrollment(), min_length=1, max_length=MOST_AT_ONCE)


class EnrolledOut(serializers.Serializer[Any]):
    """Somebody who was enrolled."""

    id = serializers.IntegerField()
    reference = serializers.CharField()


class EnrollmentsMade(serializers.Serializer[Any]):
    """Who was enrolled, in the order of the request."""

    count = serializers.IntegerField()
    enrollments = EnrolledOut(many=True)


class EnrollmentOut(serializers.Serializer[Any]):
    """A person's place in a program. Names and phones: masked to the help desk, null but to officers and auditors else."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    beneficiary_id = serializers.IntegerField()
    reference = serializers.CharField()
    full_name = serializers.SerializerMethodField()
    phone = serializers.SerializerMethodField()
    address = Address(source="script_pubkey", allow_null=True)
    script_pubkey = Hex(allow_null=True)
    enrolled_at = serializers.DateTimeField(source="created_at")

    @extend_schema_field({"type": ["string", "null"]})
    def get_full_name(self, row: dict[str, Any]) -> str | None:
        """Return the name, if the query was allowed to read it."""
        return _personal(row, "full_name")

    @extend_schema_field({"type": ["string", "null"]})
    def get_phone(self, row: dict[str, Any]) -> str | None:
        """Return the phone number, if the query was allowed to read it."""
        return _personal(row, "phone")


_MASKS = {"full_name": masked, "phone": mask_phone}


def _personal(row: dict[str, Any], name: str) -> str | None:
    personal = row.get("beneficiary__personal")
    if personal is None:
        return None
    return _MASKS[name](personal[name]) if row["is_masked"] else personal[name]


class PeopleFile(StrictSerializer):
    """A CSV file of people; with ``accept_partial`` its good rows are enrolled although others are bad."""

    file = serializers.FileField(allow_empty_file=True)
    accept_partial = serializers.BooleanField(default=False)


class IntakeOut(serializers.Serializer[Any]):
    """What became of a file; a refused one left nothing behind but its errors."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=IntakeKind.choices)
    status = serializers.ChoiceField(choices=IntakeStatus.choices)
    filename = serializers.CharField()
    sha256 = Hash()
    rows_total = serializers.IntegerField()
    rows_loaded = serializers.IntegerField()
    rows_refused = serializers.IntegerField()
    disbursement_id = serializers.SerializerMethodField()
    created_by = Username()
    created_at = serializers.DateTimeField()

    @extend_schema_field({"type": ["integer", "null"]})
    def get_disbursement_id(self, intake: Any) -> int | None:
        """Return the list that the file made."""
        made = getattr(intake, "disbursement", None)
        return None if made is None else made.pk


class IntakeErrorOut(serializers.Serializer[Any]):
    """One broken rule: the first data row is 1, the file itself 0."""

    row = serializers.IntegerField()
    column = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class IntakeProblem(serializers.Serializer[Any]):
    """Problem details of a file that was refused; the first 100 errors are here, all that were kept at its errors."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = IntakeErrorOut(many=True, required=False)  # type: ignore[assignment]
    intake_id = serializers.IntegerField(required=False)
    rows_total = serializers.IntegerField(required=False)
    rows_loaded = serializers.IntegerField(required=False)
    rows_refused = serializers.IntegerField(required=False)
    details = extend_schema_field(OpenApiTypes.OBJECT)(serializers.DictField)(required=False)
