"""The provider of identities (OpenID Connect Core 1.0): where to send somebody, and who the provider says came back.

The authorization code flow with PKCE (RFC 7636), state and nonce. Its addresses and keys come from discovery, its claims
are believed once signature, algorithm, issuer, audience, times and nonce are right. Nothing else of them is used.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from django.conf import settings
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from govpay.login import errors

log = structlog.get_logger(__name__)

# Never what the provider's own list or a token's header says, which may be "none".
ALGORITHMS = ["RS256", "ES256"]
TIMEOUT_S = 10
KEPT_S = 3600
CLOCKS_DIFFER_S = 60
MOST_BYTES = 1_000_000
SCOPE = "openid"
WANTED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class Question:
    """What one browser asked: kept in its session until the answer comes."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Person:
    """Whom the provider says it knows."""

    issuer: str
    subject: str
    id_token: str
    has_second_factor: bool


# By address: when it was read, and what it said.
_read: dict[str, tuple[float, dict[str, Any]]] = {}


def is_on() -> bool:
    """Say whether single sign-on is set up."""
    return bool(settings.GOVPAY_OIDC_ISSUER)


def new_question() -> Question:
    """Make a state, a nonce and a verifier that nobody guesses."""
    return Question(*(secrets.token_urlsafe(32) for _ in range(3)))


def address(question: Question, *, back: str) -> str:
    """Return where to send the browser with a question; raise ProviderDown."""
    found, _ = _client(back).create_authorization_url(
        discover()["authorization_endpoint"],
        state=question.state,
        nonce=question.nonce,
        code_verifier=question.verifier,
    )
    return str(found)


def answer(question: Question, *, code: str, back: str) -> Person:
    """Change the code for what the provider says of whoever came back; raise ProviderDown and ProviderRefused."""
    client = _client(back)
    try:
        token = client.fetch_token(
            discover()["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            code_verifier=question.verifier,
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )
    except AuthlibBaseError as error:
        raise _refused(error) from error
    except (requests.RequestException, ValueError) as error:
        raise _down(error) from error
    id_token = token.get("id_token")
    if not isinstance(id_token, str):
        raise errors.ProviderRefused("The provider says nothing of who it is.")
    claims = _claims(id_token, token.get("access_token"), question.nonce)
    subject = claims["sub"]
    if not (isinstance(subject, str) and subject.isascii() and 0 < len(subject) <= 255):
        raise errors.ProviderRefused("The provider names nobody.")
    return Person(settings.GOVPAY_OIDC_ISSUER, subject, id_token, _is_second_factor(claims))


def address_of_signing_out(id_token: str) -> str:
    """Return where the provider signs somebody out (RP-Initiated Logout 1.0); nothing where it does not or is down."""
    try:
        found = str(discover().get("end_session_endpoint") or "")
    except errors.ProviderDown:
        return ""
    words = {
        "id_token_hint": id_token,
        "client_id": settings.GOVPAY_OIDC_CLIENT_ID,
        "post_logout_redirect_uri": f"{settings.GOVPAY_ORIGIN}/admin/",
    }
    return f"{found}{'&' if '?' in found else '?'}{urlencode(words)}" if found else ""


def discover() -> dict[str, Any]:
    """Return what the provider says of itself, at most an hour old; raise ProviderDown."""
    issuer = settings.GOVPAY_OIDC_ISSUER
    found = _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    # Discovery 1.0, clause 4.3: what names another issuer is not the one that was asked.
    if found.get("issuer") != issuer:
        raise errors.ProviderDown("The provider names another issuer than it was asked as.")
    is_safe = [_is_safe(found.get(name), issuer) for name in WANTED]
    if not all(is_safe) or not _is_safe(found.get("end_session_endpoint") or issuer, issuer):
        raise errors.ProviderDown("The provider has no whole and encrypted set of addresses.")
    return found


def forget() -> None:
    """Read addresses and keys anew when they are next needed."""
    _read.clear()


def _client(back: str) -> Any:
    methods = discover().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
    return OAuth2Session(
        client_id=settings.GOVPAY_OIDC_CLIENT_ID,
        client_secret=settings.GOVPAY_OIDC_CLIENT_SECRET,
        scope=SCOPE,
        redirect_uri=back,
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
    )


def _claims(id_token: str, access_token: Any, nonce: str) -> Any:
    """Return the claims of an ID token after Core 1.0, clause 3.1.3.7; raise ProviderRefused."""
    try:
        try:
            token = _decode(id_token, is_fresh=False)
        except InvalidKeyIdError:
            # The provider may have changed its keys.
            token = _decode(id_token, is_fresh=True)
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": settings.GOVPAY_OIDC_ISSUER},
                "aud": {"essential": True, "value": settings.GOVPAY_OIDC_CLIENT_ID},
            },
            {"nonce": nonce, "client_id": settings.GOVPAY_OIDC_CLIENT_ID, "access_token": access_token},
        )
        claims.validate(leeway=CLOCKS_DIFFER_S)
    except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError) as error:
        raise _refused(error) from error
    return claims


def _decode(id_token: str, *, is_fresh: bool) -> Any:
    keys = KeySet.import_key_set(_get(discover()["jwks_uri"], is_fresh=is_fresh))  # type: ignore[arg-type]
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    return jwt.decode(id_token, key=keys, registry=registry)


def _is_second_factor(claims: Any) -> bool:
    methods = claims.get("amr") or []
    told = {f"amr:{method}" for method in methods} | {f"acr:{claims.get('acr')}"}
    return not told.isdisjoint(settings.GOVPAY_OIDC_SECOND_FACTORS)


def _get(where: str, *, is_fresh: bool = False) -> dict[str, Any]:
    """Read a JSON object, at most an hour old; raise ProviderDown."""
    at, found = _read.get(where, (0.0, {}))
    if found and not is_fresh and 0 <= time.time() - at < KEPT_S:
        return found
    try:
        with requests.get(where, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as response:
            if response.status_code != requests.codes.ok:
                raise errors.ProviderDown(f"The provider answers {response.status_code}.")
            body = response.raw.read(MOST_BYTES + 1, decode_content=True)
        if len(body) > MOST_BYTES:
            raise errors.ProviderDown("The provider answers without end.")
        found = requests.compat.json.loads(body)
    except (requests.RequestException, OSError, ValueError) as error:
        raise _down(error) from error
    if not isinstance(found, dict):
        raise errors.ProviderDown("The provider answers with something else than it should.")
    _read[where] = (time.time(), found)
    return found


def _is_safe(found: Any, issuer: str) -> bool:
    """Say whether an address is encrypted, or the provider is on this machine and so is the address."""
    if not isinstance(found, str):
        return False
    parts, own = urlsplit(found), urlsplit(issuer)
    return parts.scheme == "https" or (own.scheme == "http" and parts.hostname == own.hostname)


def _refused(error: Exception) -> errors.ProviderRefused:
    # Words of the library may quote a token: only the kind goes into the log.
    log.warning("provider_refused", why=type(error).__name__)
    return errors.ProviderRefused("The provider's answer was not accepted.")


def _down(error: Exception) -> errors.ProviderDown:
    log.warning("provider_down", why=type(error).__name__)
    return errors.ProviderDown("The provider does not answer as it should.")
