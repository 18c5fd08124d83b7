"""Publishes the figures of all programs: takes them at one moment, signs their bytes and keeps them for anybody."""

import hashlib
import json
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from ledger import audit
from ledger.exports import source
from ledger.reports import signing
from ledger.seals import checkpoints
from payments.models import Publication
from payments.onchain import network
from payments.transparency import figures

NAME = "transparency"


def newest() -> Publication | None:
    """Return what was published last."""
    return Publication.objects.order_by("-pk").first()


def is_due() -> bool:
    """Say whether figures are to be published now: they are asked for, and the newest are as old as the settings say."""
    every_s = settings.GOVPAY_TRANSPARENCY_S
    if not every_s:
        return False
    since = timezone.now() - timedelta(seconds=every_s)
    return not Publication.objects.filter(taken_at__gt=since).exists()


def publish() -> Publication:
    """Take the figures in one snapshot of the database, sign them where there is a key, and keep them."""
    with source.snapshot(is_read_only=False):
        taken_at = timezone.now()
        found = figures.take(network=network.current().value, at=taken_at)
        document = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
        made = Publication.objects.create(
            taken_at=taken_at,
            document=document,
            sha256=hashlib.sha256(document.encode()).digest(),
            note=_sign(found["taken_at"], document),
        )
        audit.record("figures.publish", made)
    return made


def publish_when_due() -> None:
    """Publish, unless it was just done; of two workers at once both may, which harms nobody."""
    if is_due():
        publish()


def _sign(taken_at: str, document: str) -> str:
    try:
        return signing.sign(NAME, {"taken_at": taken_at}, document.encode())
    except checkpoints.NoSealKey:
        return ""
