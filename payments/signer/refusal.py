"""The one error of the signer: what it refuses, by a stable code, in a sentence for the person at the screen."""

from typing import Any


def plain(text: str) -> str:
    """Return a text that moves no cursor and hides nothing: what is not printable is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Refusal(Exception):
    """Something that the signer does not do or cannot read; ``code`` is stable, ``exit_status`` tells the shell."""

    exit_status = 1

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class Unreadable(Refusal):
    """A file that is not what it should be: a bundle, a manifest, a configuration."""

    exit_status = 3


class KeyRefused(Refusal):
    """A key file that does not open, or a key that is not the configured one."""

    exit_status = 4


class DeviceFailed(Refusal):
    """A hardware device, or the program that talks to it, that did not do what it was asked."""

    exit_status = 5


class StoreFailed(Refusal):
    """The signer's own memory cannot be read, was altered, or is busy."""

    exit_status = 6


class NotConfirmed(Refusal):
    """The person at the screen said no."""

    exit_status = 7
