"""Reads ``Authorization: Bearer`` tokens; what cannot be one is refused before it reaches the database."""

import re
from typing import Any

from django.db.models import OuterRef, Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework import exceptions

from govpay import tokens
from govpay.api import scopes
from govpay.login import devices, stepup

_TOKEN = re.compile(rb"[0-9A-Za-z]{16,256}")


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

        The token says as ``has_factor`` whether its user has a second factor. Ones that have ended are left where they are;
        signing in anew removes them.
        """
        if not _TOKEN.fullmatch(token):
            raise exceptions.AuthenticationFailed("Invalid token.")
        live = Q(expiry=None) | Q(expiry__gt=timezone.now())
        rows = AuthToken.objects.filter(live, pk=hash_token(token.decode())).select_related("user")
        found = rows.annotate(has_factor=devices.of_user(OuterRef("user"))).first()
        if found is None:
            raise exceptions.AuthenticationFailed("Invalid token.")
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
