"""Links of users with accounts of the provider of identities: made by users who are signed in, by no e-mail or name."""

import hashlib
import hmac
import json
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import NotFound
from govpay.login import errors
from govpay.login.provider import Person
from govpay.models import ProviderLink
from ledger import audit

log = structlog.get_logger(__name__)


def of(user: Any) -> ProviderLink | None:
    """Return the user's link with the provider that is set up, if there is one."""
    return ProviderLink.objects.filter(user_id=user.pk, issuer=settings.GOVPAY_OIDC_ISSUER).first()


@transaction.atomic
def add(user: Any, *, issuer: str, subject: str) -> ProviderLink:
    """Link a user with an account of the provider; raise LinkedBefore where either is linked."""
    # One after the other for a user, and the constraint stands behind it for a subject.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if of(user) is not None:
        raise errors.LinkedBefore("You are linked with another account.")
    made, is_new = ProviderLink.objects.get_or_create(
        issuer=issuer,
        subject=subject,
        defaults={"user_id": user.pk, "mac": _mac(user.pk, issuer, subject)},
    )
    if not is_new:
        raise errors.LinkedBefore("This account is linked with somebody.")
    audit.record("provider_link.add", made, by=user)
    log.info("provider_linked", user_id=user.pk, provider_link_id=made.pk)
    return made


@transaction.atomic
def remove(user: Any) -> None:
    """End the user's link; raise NotFound."""
    found = of(user)
    if found is None:
        raise NotFound("You are not linked.")
    audit.record("provider_link.remove", found, by=user, before=audit.digest(found))
    found.delete()


def user_of(person: Person) -> User:
    """Return the user whom the provider's account is of, who may be in the admin; raise NotLinked."""
    rows = ProviderLink.objects.filter(issuer=person.issuer, subject=person.subject)
    found = rows.select_related("user").first()
    if found is not None and not hmac.compare_digest(
        bytes(found.mac), _mac(found.user_id, found.issuer, found.subject)
    ):
        log.error("provider_link_forged", provider_link_id=found.pk)
        found = None
    if found is None or not (found.user.is_active and found.user.is_staff):
        raise errors.NotLinked("This account of the provider is linked with nobody here.")
    rows.update(last_used_at=timezone.now())
    return found.user


def _mac(user_id: int, issuer: str, subject: str) -> bytes:
    text = json.dumps(["provider link", user_id, issuer, subject])
    return hmac.new(settings.GOVPAY_IDENTITY_KEY, text.encode(), hashlib.sha256).digest()
