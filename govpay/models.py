"""Tables that belong to the project itself: the stored answers of idempotent requests, and named tokens."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from knox.models import AuthToken


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
