"""Makes POSTs safe to repeat as the whole API does it (`Idempotency-Key`): by the view mixin that settings name."""

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

Idempotent: Any = import_string(settings.LEDGER_IDEMPOTENT)
