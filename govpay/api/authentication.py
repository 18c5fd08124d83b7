"""Reads ``Authorization: Bearer`` tokens; what cannot be one is refused before it reaches the database."""

import re
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework import exceptions

from govpay import tokens
from govpay.api import scopes
from govpay.login import stepup

_TOKEN = re.compile(rb"[0-9A-Za-z]{16,256}")
TOKEN = ("digest", "token_key", "created", "expiry")
# Written out, because every request asks it, and the ORM takes longer to put it together than PostgreSQL to answer it.
BEARER = """
SELECT u.*, t.digest AS token_digest, t.token_key AS token_token_key, t.created AS token_created, t.expiry AS token_expiry,
    EXISTS (SELECT FROM govpay_authenticator a WHERE a.user_id = u.id AND a.confirmed)
    OR EXISTS (SELECT FROM govpay_securitykey k WHERE k.user_id = u.id) AS has_factor
FROM knox_authtoken t JOIN auth_user u ON u.id = t.user_id
WHERE t.digest = %s AND (t.expiry IS NULL OR t.expiry > %s)
"""


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """A knox token: stored as a hash, ends by itself, taken back by logout.

    What a named one reaches, and whether the bearer must give a code first, is judged here, so that no view can forget to.
    """

    def authenticate(self, request: Any) -> Any:
        """Return the user and the token.

        Raise ScopeMissing or NotFound where a named one does not reach, NotEnrolled or StepUpNeeded where a code is missing.
        """
        found = super().authenticate(request)
        if found is None:
            return None
        _, token = found
        if token.token_key.startswith(tokens.PREFIX):
            named = tokens.use(token)
            if named is None:
                raise exceptions.AuthenticationFailed("Invalid token.")
            scopes.require(named, request._request)
        stepup.require_of_token(token, request._request)
        return found

    def authenticate_credentials(self, token: bytes) -> Any:
        """Return the user and the token, found by its hash, in one statement; raise AuthenticationFailed for anything else.

        The token says as ``has_factor`` whether its user has a second factor. Ones that have ended are left where they are:
        of logins a user keeps so many.
        """
        if not _TOKEN.fullmatch(token):
            raise exceptions.AuthenticationFailed("Invalid token.")
        rows: Any = User.objects.raw(BEARER, [hash_token(token.decode()), timezone.now()])
        user = next(iter(rows), None)
        if user is None:
            raise exceptions.AuthenticationFailed("Invalid token.")
        values = [getattr(user, f"token_{name}") for name in TOKEN]
        found = AuthToken.from_db(user._state.db, [*TOKEN, "user_id"], [*values, user.pk])
        found.user, found.has_factor = user, user.has_factor
        return self.validate_user(found)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes BearerToken in the OpenAPI document."""

    target_class = "govpay.api.authentication.BearerToken"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the security scheme object."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The token that /api/v1/auth/login/ or /api/v1/tokens/ gave.",
        }
