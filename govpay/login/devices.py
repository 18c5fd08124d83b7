"""Authenticators and recovery codes: enroll, take a code once, replace, and end them for somebody who lost theirs."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from importlib import import_module
from typing import Any
from urllib.parse import quote, urlencode

import structlog
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_otp.oath import TOTP

from govpay import tokens
from govpay.login import errors
from govpay.models import Authenticator, RecoveryCode, SecurityKey
from ledger import audit
from payments.models.encrypted import FieldUnreadable

log = structlog.get_logger(__name__)

KEY_BYTES = 20
STEP_S = 30
# Codes of the step before and after are taken: clocks differ, and people type slowly.
TOLERANCE = 1
RECOVERY_CODES = 10
# How many agree that somebody's second factor is ended.
PEOPLE = 2
# 80 bits, which nobody tries through: the hash needs no slowness.
RECOVERY_BYTES = 10


def is_required() -> bool:
    """Say whether everybody needs a second factor."""
    return bool(settings.GOVPAY_SECOND_FACTOR == "required")


def has_one(user: Any) -> bool:
    """Say whether the user has a second factor."""
    return has_app(user) or SecurityKey.objects.filter(user_id=user.pk).exists()


def has_app(user: Any) -> bool:
    """Say whether the user has enrolled an authenticator app."""
    return Authenticator.objects.filter(user_id=user.pk, confirmed=True).exists()


def begin(user: Any) -> Authenticator:
    """Return the authenticator that the user is enrolling, with a new secret if none is under way."""
    secret = {"key": secrets.token_hex(KEY_BYTES), "user": str(user.pk)}
    with transaction.atomic():
        found, is_new = Authenticator.objects.get_or_create(
            user_id=user.pk, confirmed=False, defaults={"name": "authenticator", "secret": secret}
        )
        if is_new:
            audit.record("authenticator.begin", found, by=user)
    return found


def secret_text(device: Authenticator) -> str:
    """Return the secret as apps take it when somebody types it."""
    return base64.b32encode(_key(device)).decode()


def address(device: Authenticator) -> str:
    """Return the otpauth address that the QR code shows (Key Uri Format)."""
    issuer = f"govpay {settings.GOVPAY_NETWORK}"
    label = quote(f"{issuer}:{device.user.get_username()}")
    words = {"secret": secret_text(device), "issuer": issuer, "period": STEP_S, "digits": 6}
    return f"otpauth://totp/{label}?{urlencode(words, quote_via=quote)}"


def confirm(user: Any, code: str) -> list[str]:
    """Let the authenticator under way count from its first code on; return new recovery codes, which are not kept.

    One that was there before ends, and with it every token that the user has.
    """
    with transaction.atomic():
        device = Authenticator.objects.select_for_update().filter(user_id=user.pk, confirmed=False).first()
        if device is None:
            raise errors.NotEnrolled("No authenticator is being enrolled.")
        is_right = _take(device, code, with_recovery=False)
        if is_right:
            Authenticator.objects.filter(user_id=user.pk, confirmed=True).delete()
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            tokens.end_all(user_id=user.pk)
            codes = _new_codes(user)
            audit.record("authenticator.enroll", user, by=user)
    if not is_right:
        raise errors.CodeWrong("This is not the code that the authenticator shows now.")
    log.info("authenticator_enrolled", user_id=user.pk)
    return codes


def verify(user: Any, code: str) -> Authenticator | SecurityKey:
    """Take a code of the user's authenticator, or a recovery code; each works once. Return the factor that it counts for.

    Raises NotEnrolled, TooSoon, CodeWrong. The wrong one is counted in a database transaction of its own: call it in none.
    """
    with transaction.atomic():
        device = _lock(user)
        if device is None:
            raise errors.NotEnrolled("You have no second factor yet.")
        is_right = _take(device, code)
    if not is_right:
        raise errors.CodeWrong("The code is wrong, or was used before: wait for the next one.")
    return device


def renew_codes(user: Any) -> list[str]:
    """Return new recovery codes; the old ones end. Raise NotEnrolled where there is nothing that they could stand in for."""
    with transaction.atomic():
        # One after the other, so that of two renewals at once one set is left.
        if _lock(user) is None:
            raise errors.NotEnrolled("You have no second factor yet.")
        audit.record("recovery_codes.renew", user, by=user)
        return _new_codes(user)


def remove_app(user: Any) -> None:
    """End the authenticator app, and the sessions that it opened; raise NotEnrolled, and LastFactor without a key."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not has_app(user):
            raise errors.NotEnrolled("You have no authenticator.")
        if not SecurityKey.objects.filter(user_id=user.pk).exists():
            raise errors.LastFactor("It is your only second factor: add a security key first.")
        Authenticator.objects.filter(user_id=user.pk).delete()
        audit.record("authenticator.remove", user, by=user)


def codes_left(user: Any) -> int:
    """Return how many recovery codes are unused."""
    return RecoveryCode.objects.filter(user_id=user.pk, used_at=None).count()


def reset(user: User, *, agreed: Sequence[tuple[User, str]]) -> None:
    """End the authenticator, recovery codes, tokens and sessions of somebody who lost theirs: they enroll anew.

    Two administrators agree, each with a code of their own; raises NotTwoPeople and what ``verify`` raises.
    """
    people = {person.pk for person, _ in agreed}
    if len(people) != PEOPLE or user.pk in people:
        raise errors.NotTwoPeople("Two administrators must agree, who are others than the person.")
    for person, _ in agreed:
        if not (person.is_active and person.has_perm("auth.change_user")):
            raise errors.NotTwoPeople(f"{person.get_username()} may not change users.")
    for person, code in agreed:
        verify(person, code)
    with transaction.atomic():
        Authenticator.objects.filter(user=user).delete()
        SecurityKey.objects.filter(user=user).delete()
        RecoveryCode.objects.filter(user=user).delete()
        tokens.end_all(user_id=user.pk)
        _end_sessions(user)
        for person, _ in agreed:
            audit.record("authenticator.reset", user, by=person)
    log.warning("second_factor_reset", user_id=user.pk, agreed_by=sorted(people))


def _lock(user: Any) -> Authenticator | SecurityKey | None:
    """Lock and return the row that wrong codes of the user are counted in: the app's, or else the oldest key's."""
    app = Authenticator.objects.select_for_update().filter(user_id=user.pk, confirmed=True).first()
    return app or SecurityKey.objects.select_for_update().filter(user_id=user.pk).order_by("pk").first()


def _end_sessions(user: Any) -> None:
    """End every session of the user: whoever sits at one could enroll an authenticator of their own."""
    rows: Any = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class().objects
    live = rows.filter(expire_date__gt=timezone.now()).iterator()
    ended = [row.pk for row in live if row.get_decoded().get(SESSION_KEY) == str(user.pk)]
    rows.filter(pk__in=ended).delete()


def _take(device: Authenticator | SecurityKey, code: str, *, with_recovery: bool = True) -> bool:
    """Take a code with the authenticator's row locked; raise TooSoon while it may not be tried."""
    is_allowed, why = device.verify_is_allowed()
    if not is_allowed:
        wait_s = max(1, round((why["locked_until"] - timezone.now()).total_seconds()))
        raise errors.TooSoon(f"Codes were wrong; the next may be tried in {wait_s} s.", retry_after_s=wait_s)
    code = re.sub(r"[ -]", "", code).lower()
    if _is_shown(device, code) or (with_recovery and _is_recovery(device.user_id, code)):
        device.throttle_reset(commit=False)
        device.save(
            update_fields=[*_state(device), "throttling_failure_count", "throttling_failure_timestamp"]
        )
        audit.record("code.accept", device, by=device.user)
        return True
    device.throttle_increment(commit=False)
    device.save(update_fields=["throttling_failure_count", "throttling_failure_timestamp"])
    # Who it was is not known.
    audit.record("code.refuse", device)
    return False


def _state(device: Authenticator | SecurityKey) -> list[str]:
    return ["last_step"] if isinstance(device, Authenticator) else []


def _is_shown(device: Authenticator | SecurityKey, code: str) -> bool:
    if not isinstance(device, Authenticator) or not re.fullmatch(r"[0-9]{6}", code):
        return False
    totp = TOTP(_key(device), STEP_S)
    totp.time = timezone.now().timestamp()
    if not totp.verify(int(code), TOLERANCE, device.last_step + 1):
        return False
    device.last_step = totp.t()
    return True


def _is_recovery(user_id: int, code: str) -> bool:
    codes = RecoveryCode.objects.select_for_update()
    unused = codes.filter(user_id=user_id, digest=_digest(code), used_at=None).first()
    if unused is None:
        return False
    RecoveryCode.objects.filter(pk=unused.pk).update(used_at=timezone.now())
    audit.record("recovery_code.use", unused)
    return True


def _new_codes(user: Any) -> list[str]:
    RecoveryCode.objects.filter(user_id=user.pk).delete()
    codes = [
        base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    RecoveryCode.objects.bulk_create(RecoveryCode(user_id=user.pk, digest=_digest(code)) for code in codes)
    return ["-".join(code[n : n + 4] for n in range(0, len(code), 4)) for code in codes]


def _digest(code: str) -> bytes:
    """Hash under a key that the database lacks."""
    return hmac.new(settings.GOVPAY_IDENTITY_KEY, b"recovery code\n" + code.encode(), hashlib.sha256).digest()


def _key(device: Authenticator) -> bytes:
    secret: dict[str, str] = device.secret
    if secret["user"] != str(device.user_id):
        raise FieldUnreadable("An authenticator's secret was moved to another user.")
    return bytes.fromhex(secret["key"])
