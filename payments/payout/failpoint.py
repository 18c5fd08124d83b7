"""Points where a test, or the demo, stops a worker dead; they exist on regtest only."""

import os
import signal
import time
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def hit(point: str) -> None:
    """Do what GOVPAY_FAILPOINT says of this point, once: ``POINT:kill:FILE`` or ``POINT:halt:FILE``.

    The first process that creates FILE acts, and leaves its process id there: ``kill`` ends it with SIGKILL, ``halt``
    keeps it where it is until somebody else kills it. Without the setting this costs one comparison.
    """
    setting = settings.GOVPAY_FAILPOINT
    if not setting or not setting.startswith(f"{point}:"):
        return
    _, mode, marker = setting.split(":", 2)
    try:
        with Path(marker).open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(60)


def check_setting() -> None:
    """Refuse a fail point outside regtest, and a malformed one anywhere."""
    setting = settings.GOVPAY_FAILPOINT
    if not setting:
        return
    if settings.GOVPAY_NETWORK != "regtest":
        raise ImproperlyConfigured("GOVPAY_FAILPOINT may be set on regtest only.")
    if len(setting.split(":", 2)) != 3 or setting.split(":", 2)[1] not in ("kill", "halt"):
        raise ImproperlyConfigured("GOVPAY_FAILPOINT must be POINT:kill:FILE or POINT:halt:FILE.")
