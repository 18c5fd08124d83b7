"""Points where a test, or the demo, stops a worker dead; they exist on regtest only."""

import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# POINT:MODE:FILE. A point is an id of the fault list, or * for all; @N acts on the N-th hit of a process, %P on P hits
# of a hundred, drawn at random.
SETTING = re.compile(r"(K[0-9]{1,2}|\*)(?:@([1-9][0-9]{0,5})|%([1-9][0-9]?))?:(kill|halt):(.*)")

_hits: Counter[str] = Counter()


def hit(point: str) -> None:
    """Do what GOVPAY_FAILPOINT says of this point: ``kill`` this process with SIGKILL, or ``halt`` it until it is killed.

    The first process that creates FILE acts, and leaves its process id there, so that it happens once; without a FILE
    it happens every time. Without the setting this costs one comparison.
    """
    if not settings.GOVPAY_FAILPOINT:
        return
    check_setting()
    named, nth, percent, mode, marker = _parse(settings.GOVPAY_FAILPOINT)
    if named not in (point, "*"):
        return
    _hits[named] += 1
    if nth and _hits[named] != int(nth):
        return
    if percent and random.randrange(100) >= int(percent):  # noqa: S311 - It chooses a victim, not a secret.
        return
    if marker and not _is_first(Path(marker)):
        return
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(60)


def check_setting() -> None:
    """Refuse a fail point outside regtest, and a malformed one anywhere."""
    if not settings.GOVPAY_FAILPOINT:
        return
    if settings.GOVPAY_NETWORK != "regtest":
        raise ImproperlyConfigured("GOVPAY_FAILPOINT may be set on regtest only.")
    _parse(settings.GOVPAY_FAILPOINT)


def _parse(setting: str) -> tuple[str, ...]:
    match = SETTING.fullmatch(setting)
    if match is None:
        raise ImproperlyConfigured(
            "GOVPAY_FAILPOINT must be POINT:kill:FILE or POINT:halt:FILE, POINT perhaps with @N or %P."
        )
    return match.groups()


def _is_first(marker: Path) -> bool:
    try:
        with marker.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True
