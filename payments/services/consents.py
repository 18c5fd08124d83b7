"""Keeps the texts that people of a program are asked to agree to, and what each of them said."""

from datetime import date

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound
from ledger import audit
from payments.models import Beneficiary, Consent, ConsentText, Enrollment, Role
from payments.models.consent import latest_date
from payments.services import authority

MAX_VERSION, MAX_TEXT, MAX_NOTE = 40, 20_000, 300


class ConsentTextExists(Conflict):
    """The program has a text of this version; a version never changes."""

    code = "consent_text_exists"


class ConsentUnchanged(Conflict):
    """The person said this of this text before, or has no consent to withdraw."""

    code = "consent_unchanged"


@transaction.atomic
def publish(*, by: User, program_id: int, version: str, text: str) -> ConsentText:
    """Add a version of the text; those who agreed to another one have agreed to that one only."""
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    for column, value, most in (("version", version, MAX_VERSION), ("text", text, MAX_TEXT)):
        if not value.strip():
            raise InvalidInput.of(column, "missing", "This is empty.")
        if len(value) > most:
            raise InvalidInput.of(column, "too_long", f"This is longer than {most} characters.")
    made, is_new = ConsentText.objects.get_or_create(
        program_id=program_id, version=version.strip(), defaults={"text": text, "created_by": by}
    )
    if not is_new:
        raise ConsentTextExists(f"There is a version {version.strip()} already.")
    audit.record("consent_text.publish", made, by=by, scope=f"program:{program_id}")
    return made


@transaction.atomic
def record(
    *,
    by: User,
    enrollment_id: int,
    version: str,
    is_given: bool,
    note: str = "",
    said_date: date | None = None,
) -> Consent:
    """Write down that a person agreed to a version of the text, or took that back; the newest word counts.

    ``said_date`` is the day on the form, if there is one. While it is taken back, the person's lines are held. Raises
    NotFound, RoleMissing, InvalidInput, ConsentUnchanged.
    """
    found = Enrollment.objects.filter(pk=enrollment_id, program__memberships__user_id=by.pk).first()
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=(Role.OFFICER,))
    if len(note) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"This is longer than {MAX_NOTE} characters.")
    now = timezone.now()
    if said_date is not None and said_date > latest_date(now):
        raise InvalidInput.of("said_date", "date_future", "The date is still to come.")
    text = ConsentText.objects.filter(program_id=found.program_id, version=version).first()
    if text is None:
        raise InvalidInput.of("version", "version_unknown", "The program has no text of this version.")
    # One word of a person at a time, so that the newest is the last that was said.
    Beneficiary.objects.select_for_update(no_key=True).only("pk").get(pk=found.beneficiary_id)
    said = Consent.objects.filter(program_id=found.program_id, beneficiary_id=found.beneficiary_id)
    last = said.order_by("-pk").first()
    was_given = last is not None and last.is_given
    if was_given == is_given and (not is_given or (last is not None and last.text_id == text.pk)):
        raise ConsentUnchanged("That is what the person said last.")
    made = Consent.objects.create(
        program_id=found.program_id,
        beneficiary_id=found.beneficiary_id,
        text=text,
        is_given=is_given,
        note=note,
        said_date=said_date,
        recorded_by=by,
        recorded_at=now,
    )
    action = "consent.give" if is_given else "consent.withdraw"
    audit.record(action, made, by=by, scope=f"program:{found.program_id}")
    return made
