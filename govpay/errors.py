"""The base of every error govpay raises: a stable code, a message for a person, details for a program."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self


class GovPayError(Exception):
    """A refusal or failure with a stable ``code``; ``http_status`` is where the API maps it, once."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 400
    is_transient: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class NotFound(GovPayError):
    """The thing does not exist, or the caller may not know that it does."""

    code = "not_found"
    http_status = 404


class Forbidden(GovPayError):
    """The caller may see the thing but not do this to it."""

    code = "forbidden"
    http_status = 403


class SamePersonTwice(Forbidden):
    """One person did what two different people must do (R-06); people are told apart by id, for names may change."""

    code = "same_person_twice"


class Conflict(GovPayError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    http_status = 409


class InvalidInput(GovPayError):
    """What was sent breaks a rule; ``details['errors']`` lists row, column, code and message."""

    code = "invalid_input"
    http_status = 422

    @classmethod
    def of(cls, column: str, code: str, message: str) -> Self:
        """Return the refusal of one field of what was sent, which is no row of a file."""
        return cls.of_each([(column, code, message)])

    @classmethod
    def of_each(cls, found: Sequence[tuple[str, str, str]]) -> Self:
        """Return the refusal of several fields, column, code and message each; the first one's message is its own."""
        errors = [{"row": 0, "column": column, "code": code, "message": text} for column, code, text in found]
        return cls(found[0][2], errors=errors)


class Unavailable(GovPayError):
    """A part that govpay needs does not answer; the same call may succeed later."""

    code = "unavailable"
    http_status = 503
    is_transient = True
