"""Tables that belong to the project itself: answers of idempotent requests, named tokens, sessions, and second factors."""

from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_otp.models import Device, ThrottlingMixin
from knox.models import AuthToken

from payments.models.encrypted import EncryptedJSONField


class IdempotencyRecord(models.Model):
    """One Idempotency-Key of one user: the request's hash and, once it succeeded, its answer."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_once_per_user"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.key} ({self.status})"


class ApiToken(models.Model):
    """What is known of a named token: whose it is, what it reaches, when it ends; the secret's hash is ``token``'s.

    The row stays when the token has ended. ``scopes`` are those of govpay.api.scopes.
    """

    token = models.OneToOneField(AuthToken, null=True, on_delete=models.SET_NULL, related_name="api_token")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_tokens")
    name = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=60))
    program = models.ForeignKey("payments.Program", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name = "API token"
        constraints = [
            models.CheckConstraint(condition=~Q(scopes=[]), name="apitoken_has_scopes"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(token=None), name="apitoken_ended_has_no_secret"
            ),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="apitoken_of_user")]

    def __str__(self) -> str:
        return f"token {self.pk}"

    @property
    def is_live(self) -> bool:
        """Whether it still opens anything."""
        return self.token_id is not None and self.expires_at > timezone.now()


class Authenticator(ThrottlingMixin, Device):  # type: ignore[misc]
    """An app that shows codes (TOTP, RFC 6238); until its first code is seen it is not ``confirmed`` and counts for nothing.

    ``last_step`` is the time step of the newest code that was taken: no code works twice.
    """

    secret = EncryptedJSONField(context="authenticator.secret")
    last_step: Any = models.BigIntegerField(default=-1)
    created_at: Any = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "confirmed"], name="authenticator_once_per_user"),
        ]

    def __str__(self) -> str:
        return f"authenticator of user {self.user_id}"

    def get_throttle_factor(self) -> int:
        """Return the seconds to wait after the first wrong code; each further one doubles them."""
        return 1


class SecurityKey(ThrottlingMixin, Device):  # type: ignore[misc]
    """A key that signs challenges (WebAuthn, level 2): a stick, a phone, or the machine's own.

    ``secret`` names its user, its credential and the public key, encrypted and so bound together: a row that was written
    or moved behind our back opens nothing. ``sign_count`` is the last that the key told; a copy of the key falls behind it.
    """

    credential_id: Any = models.BinaryField(max_length=1023, unique=True)
    secret = EncryptedJSONField(context="securitykey.secret")
    sign_count: Any = models.BigIntegerField()
    transports: Any = ArrayField(models.CharField(max_length=20))
    created_at: Any = models.DateTimeField(auto_now_add=True)
    last_used_at: Any = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["user", "id"], name="securitykey_of_user")]

    def __str__(self) -> str:
        return f"security key {self.pk}"

    def get_throttle_factor(self) -> int:
        """Return the seconds to wait after the first wrong code; each further one doubles them."""
        return 1


class KeyChallenge(models.Model):
    """What a security key is to sign: for one user and one purpose, once, for some minutes."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=10)
    challenge = models.BinaryField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="keychallenge_age")]

    def __str__(self) -> str:
        return f"challenge {self.pk}"


class RecoveryCode(models.Model):
    """The hash of a code that stands in once for an authenticator that is lost."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.BinaryField(max_length=32)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="recoverycode_once_per_user"),
        ]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"


class ProviderLink(models.Model):
    """Who of us somebody is whom the provider of identities knows: by its issuer and subject, and by nothing else.

    ``mac`` is over all three, under a key that the database lacks: a row that was written or moved behind our back signs
    nobody in.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    mac = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="providerlink_once_per_subject"),
            models.UniqueConstraint(fields=["user", "issuer"], name="providerlink_once_per_user"),
        ]

    def __str__(self) -> str:
        return f"provider link {self.pk}"


class TokenProof(models.Model):
    """When the bearer of a token last gave a code. The token is known by its hash, and the proof goes with it."""

    token: Any = models.OneToOneField(AuthToken, primary_key=True, on_delete=models.CASCADE, related_name="+")
    proved_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"proof of {self.proved_at}"


class FailedLogin(AccessAttempt):  # type: ignore[misc]
    """Wrong passwords and codes of one user from one address, as django-axes keeps them."""

    class Meta:
        proxy = True
        verbose_name = "failed login"

    def __str__(self) -> str:
        return f"failed login {self.pk}"


class UserSession(AbstractBaseSession):
    """A session of the admin with whose it is; nobody's until somebody signs in."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")

    @classmethod
    def get_session_store_class(cls) -> type[Any]:
        """Return the store that keeps these."""
        from govpay.sessions import SessionStore

        return SessionStore
