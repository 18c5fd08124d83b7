"""Security keys (WebAuthn): ask one to sign, believe it once, and add, name and remove a user's keys.

As W3C's Web Authentication, level 2, clauses 7.1 and 7.2, which the library webauthn checks: origin, domain, challenge,
presence and verification of the person, signature, counter.
"""

import json
import struct
from datetime import timedelta
from typing import Any

import structlog
import webauthn
from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils import timezone
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from govpay import tokens
from govpay.errors import NotFound
from govpay.login import devices, errors
from govpay.models import Authenticator, KeyChallenge, SecurityKey
from ledger import audit
from payments.models.encrypted import FieldUnreadable

log = structlog.get_logger(__name__)

CHALLENGE_S = 300
MOST_KEYS = 10
MOST_NAME = 64
# A caller sends what it likes: whatever the library stumbles over in it is a refusal.
MALFORMED = (
    *(WebAuthnException, ValueError, TypeError, LookupError, AttributeError, OverflowError),
    *(struct.error, RecursionError, NotImplementedError),
)


class Purpose(models.TextChoices):
    """What a challenge is for: an answer to one is none to another."""

    ADD = "add", "add a key"
    SIGN_IN = "sign_in", "sign in"
    STEP_UP = "step_up", "fresh proof"


def is_on() -> bool:
    """Say whether this installation takes security keys."""
    return bool(settings.GOVPAY_ORIGIN)


def has_one(user: Any) -> bool:
    """Say whether the user has a key that can be asked."""
    return is_on() and SecurityKey.objects.filter(user_id=user.pk).exists()


def of(user: Any) -> models.QuerySet[SecurityKey]:
    """Return the user's keys, oldest first."""
    found: models.QuerySet[SecurityKey] = SecurityKey.objects.filter(user_id=user.pk).order_by("pk")
    return found


def question_for_new(user: Any) -> dict[str, Any]:
    """Return PublicKeyCredentialCreationOptions as JSON, for a key that the user has not added yet; raise KeysOff."""
    _require_on()
    made = webauthn.generate_registration_options(
        rp_id=settings.GOVPAY_KEY_DOMAIN,
        rp_name=f"govpay {settings.GOVPAY_NETWORK}",
        user_id=str(user.pk).encode(),
        user_name=user.get_username(),
        user_display_name=user.get_full_name() or user.get_username(),
        challenge=_new_challenge(user, Purpose.ADD),
        timeout=CHALLENGE_S * 1000,
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=_verification()
        ),
        exclude_credentials=_descriptors(user),
    )
    return _as_json(webauthn.options_to_json(made))


def question(user: Any, purpose: Purpose) -> dict[str, Any]:
    """Return PublicKeyCredentialRequestOptions as JSON for any of the user's keys; raise KeysOff and NotEnrolled."""
    _require_on()
    allowed = _descriptors(user)
    if not allowed:
        raise errors.NotEnrolled("You have no security key yet.")
    made = webauthn.generate_authentication_options(
        rp_id=settings.GOVPAY_KEY_DOMAIN,
        challenge=_new_challenge(user, purpose),
        timeout=CHALLENGE_S * 1000,
        allow_credentials=allowed,
        user_verification=_verification(),
    )
    return _as_json(webauthn.options_to_json(made))


def add(user: Any, *, name: str, credential: dict[str, Any]) -> tuple[SecurityKey, list[str]]:
    """Add the key that answered the question for new ones; return it, and recovery codes where it is the first factor.

    With a first factor every token that the user has ends. Raises KeyRefused, TooManyKeys, KeysOff.
    """
    _require_on()
    challenge = _take_challenge(user, Purpose.ADD, credential)
    try:
        found = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=settings.GOVPAY_KEY_DOMAIN,
            expected_origin=settings.GOVPAY_ORIGIN,
            require_user_verification=settings.GOVPAY_KEY_VERIFIES_USER,
        )
    except MALFORMED as error:
        raise _refused(user, error) from error
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if of(user).count() >= MOST_KEYS:
            raise errors.TooManyKeys(f"You have {MOST_KEYS} keys; remove one of them first.", most=MOST_KEYS)
        if SecurityKey.objects.filter(credential_id=found.credential_id).exists():
            raise errors.KeyRefused("This key was added before.")
        is_first = not devices.has_one(user)
        made = SecurityKey.objects.create(
            user_id=user.pk,
            name=name,
            credential_id=found.credential_id,
            secret={
                "user": str(user.pk),
                "credential": found.credential_id.hex(),
                "public_key": found.credential_public_key.hex(),
            },
            sign_count=found.sign_count,
            transports=_transports(credential),
        )
        audit.record("security_key.add", made, by=user)
        codes = []
        if is_first:
            tokens.end_all(user_id=user.pk)
            codes = devices.renew_codes(user)
    log.info("security_key_added", user_id=user.pk, security_key_id=made.pk)
    return made, codes


def verify(user: Any, *, purpose: Purpose, credential: dict[str, Any]) -> SecurityKey:
    """Believe the answer of one of the user's keys, once, and return the key; raise KeyRefused, KeysOff, NotEnrolled."""
    _require_on()
    if not of(user).exists():
        raise errors.NotEnrolled("You have no security key yet.")
    try:
        return _believe(user, purpose, credential)
    except errors.KeyRefused:
        # Who it was is not known.
        with transaction.atomic():
            audit.record("security_key.refuse", user)
        raise


def _believe(user: Any, purpose: Purpose, credential: dict[str, Any]) -> SecurityKey:
    challenge = _take_challenge(user, purpose, credential)
    with transaction.atomic():
        # Locked, so that of a key and its copy at once one falls behind the other's counter.
        key = of(user).select_for_update().filter(credential_id=_id_of(credential)).first()
        if key is None:
            raise errors.KeyRefused("This is no key of yours.")
        try:
            found = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=settings.GOVPAY_KEY_DOMAIN,
                expected_origin=settings.GOVPAY_ORIGIN,
                credential_public_key=_public_key(key),
                credential_current_sign_count=key.sign_count,
                require_user_verification=settings.GOVPAY_KEY_VERIFIES_USER,
            )
        except MALFORMED as error:
            raise _refused(user, error) from error
        key.sign_count = found.new_sign_count
        key.last_used_at = timezone.now()
        key.save(update_fields=["sign_count", "last_used_at"])
        audit.record("security_key.accept", key, by=user)
    return key


def verify_either(user: Any, given: str | dict[str, Any], *, purpose: Purpose) -> SecurityKey | Authenticator:
    """Take a code, or the answer of a security key, and return the factor that it counts for; as either verify."""
    if isinstance(given, str):
        return devices.verify(user, given)
    return verify(user, purpose=purpose, credential=given)


def get(user: Any, security_key_id: int) -> SecurityKey:
    """Return one of the user's keys; raise NotFound."""
    found = of(user).filter(pk=security_key_id).first()
    if found is None:
        raise NotFound("There is no such key of yours.")
    return found


@transaction.atomic
def rename(user: Any, *, security_key_id: int, name: str) -> SecurityKey:
    """Give a key another name; raise NotFound."""
    found = get(user, security_key_id)
    before = audit.digest(found)
    found.name = name
    found.save(update_fields=["name"])
    audit.record("security_key.rename", found, by=user, before=before)
    return found


@transaction.atomic
def remove(user: Any, *, security_key_id: int) -> None:
    """End a key, and the sessions that it opened; raise NotFound, and LastFactor for the only second factor."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    found = get(user, security_key_id)
    if not devices.has_app(user) and of(user).count() == 1:
        raise errors.LastFactor("It is your only second factor: add another one first.")
    audit.record("security_key.remove", found, by=user, before=audit.digest(found))
    found.delete()
    log.info("security_key_removed", user_id=user.pk, security_key_id=security_key_id)


def _require_on() -> None:
    if not is_on():
        raise errors.KeysOff("Security keys are not set up here: GOVPAY_ORIGIN is not set.")


def _verification() -> UserVerificationRequirement:
    is_required = settings.GOVPAY_KEY_VERIFIES_USER
    return UserVerificationRequirement.REQUIRED if is_required else UserVerificationRequirement.PREFERRED


def _descriptors(user: Any) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=bytes(key.credential_id), transports=[AuthenticatorTransport(name) for name in key.transports]
        )
        for key in of(user)
    ]


def _transports(credential: dict[str, Any]) -> list[str]:
    """Return how the key is reached, as far as we know the words."""
    told = credential["response"].get("transports")
    known = [transport.value for transport in AuthenticatorTransport]
    return [name for name in known if isinstance(told, list) and name in told]


def _new_challenge(user: Any, purpose: Purpose) -> bytes:
    challenge = webauthn.helpers.generate_challenge()
    now = timezone.now()
    KeyChallenge.objects.filter(expires_at__lte=now).delete()
    KeyChallenge.objects.create(
        user_id=user.pk,
        purpose=purpose,
        challenge=challenge,
        expires_at=now + timedelta(seconds=CHALLENGE_S),
    )
    return challenge


def _take_challenge(user: Any, purpose: Purpose, credential: dict[str, Any]) -> bytes:
    """End the challenge that an answer names, and return it; whether the answer is right is seen afterwards."""
    try:
        told = json.loads(base64url_to_bytes(credential["response"]["clientDataJSON"]))
        challenge = base64url_to_bytes(told["challenge"])
    except MALFORMED as error:
        raise _refused(user, error) from error
    live = KeyChallenge.objects.filter(user_id=user.pk, purpose=purpose, expires_at__gt=timezone.now())
    if live.filter(challenge=challenge).delete()[0] != 1:
        raise errors.KeyRefused("The question was not asked, was answered before, or is too old: ask again.")
    return challenge


def _id_of(credential: dict[str, Any]) -> bytes:
    try:
        return base64url_to_bytes(credential["rawId"])
    except MALFORMED as error:
        raise errors.KeyRefused("The answer names no key.") from error


def _public_key(key: SecurityKey) -> bytes:
    secret: dict[str, str] = key.secret
    if (secret["user"], secret["credential"]) != (str(key.user_id), bytes(key.credential_id).hex()):
        raise FieldUnreadable("A security key was moved to another user.")
    return bytes.fromhex(secret["public_key"])


def _refused(user: Any, error: BaseException) -> errors.KeyRefused:
    # The library's words may quote what was sent: they go into the log by their kind only.
    log.warning("security_key_refused", user_id=user.pk, why=type(error).__name__)
    return errors.KeyRefused("The key's answer was not accepted.")


def _as_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
