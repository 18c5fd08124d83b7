"""The one error of the local stack: a sentence that a technician can act on."""


class LocalStackError(Exception):
    """Say in one sentence what is missing or broken, and what to do."""
