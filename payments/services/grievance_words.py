"""What people may write in a grievance, and how much of it."""

from govpay.errors import InvalidInput
from payments.models import Grievance, GrievanceCategory
from payments.onchain.amount import MAX_SAT

MOST_TEXT, MOST_CONTACT = 2_000, 200


def check(row: Grievance, text: str, contact: str) -> None:
    """Raise InvalidInput for what is malformed of a grievance that is lodged."""
    if row.category not in GrievanceCategory.values:
        raise InvalidInput.of("category", "category_unknown", "Say what it is about.")
    require_text("text", text, MOST_TEXT)
    if len(contact) > MOST_CONTACT or not contact.isprintable():
        raise InvalidInput.of(
            "contact", "contact_malformed", f"At most {MOST_CONTACT} characters on one line."
        )
    require_amount(row.received_sat)


def require_text(column: str, text: str, most: int) -> None:
    """Raise InvalidInput unless there are words, and not too many."""
    if not text.strip():
        raise InvalidInput.of(column, "missing", "Say it in some words.")
    if len(text) > most:
        raise InvalidInput.of(column, "too_long", f"At most {most} characters.")
    if "\0" in text:
        raise InvalidInput.of(column, "malformed", "There is a character that is no text.")


def require_amount(received_sat: int | None) -> None:
    """Raise InvalidInput for what is no amount of satoshis."""
    if received_sat is not None and not 0 <= received_sat <= MAX_SAT:
        raise InvalidInput.of("received_sat", "amount_out_of_range", "This is no amount of satoshis.")
