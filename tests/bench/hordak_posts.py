"""Runs in django-hordak's own virtual environment: migrates a database, posts entries of two lines, and prints the rates."""

import json
import sys
import time

import django
from django.conf import settings

BATCH = 200


def main(address: dict[str, str], entries: int) -> dict[str, float]:
    """Return entries a second: each in a database transaction of its own, and 200 in one."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": address["dbname"],
                "HOST": address["host"],
                "PORT": address["port"],
                "USER": address["user"],
                "PASSWORD": address["password"],
            }
        },
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        CURRENCIES=["EUR"],
    )
    django.setup()
    from django.core.management import call_command
    from django.db import transaction
    from hordak.models import Account
    from moneyed import Money

    call_command("migrate", verbosity=0)
    bank = Account.objects.create(name="Bank", type="AS", currencies=["EUR"])
    income = Account.objects.create(name="Income", type="IN", currencies=["EUR"])

    def one(number: int) -> None:
        income.transfer_to(bank, Money(1 + number, "EUR"))

    begin = time.perf_counter()
    for number in range(entries):
        one(number)
    alone = time.perf_counter() - begin
    begin = time.perf_counter()
    for first in range(0, entries, BATCH):
        with transaction.atomic():
            for number in range(first, min(first + BATCH, entries)):
                one(number)
    return {"one_a_transaction": entries / alone, "batches_of_200": entries / (time.perf_counter() - begin)}


if __name__ == "__main__":
    print(json.dumps(main(*json.load(sys.stdin))))
