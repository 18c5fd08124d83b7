"""Signs in and out, says who is signed in, and tells whether the installation is healthy."""

from typing import Any

import redis
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import DatabaseError, connection, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from govpay import tokens
from govpay.api import factors
from govpay.api.serializers import StrictSerializer, Text
from govpay.login import devices, errors, keys, lockout, stepup
from govpay.login.keys import Purpose
from payments.models import Role
from payments.selectors import node, programs

BROKER_TIMEOUT_S = 1


class LoginFailed(exceptions.AuthenticationFailed):
    """The user does not exist, is not active, or has another password: the answer is the same."""

    default_detail = "The user name or the password is wrong."
    default_code = "login_failed"


class Password(StrictSerializer):
    """Who signs in."""

    username = Text(max_length=150)
    password = Text(max_length=1024, write_only=True, style={"input_type": "password"})


class Factor(StrictSerializer):
    """A code, or a security key's answer."""

    otp = Text(
        max_length=40,
        required=False,
        write_only=True,
        help_text="The code of your authenticator, or a recovery code.",
    )
    credential = factors.KeyJson(
        required=False, write_only=True, help_text="The answer of your security key to the question beside."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse both at once."""
        if {"otp", "credential"} <= set(attrs):
            raise serializers.ValidationError("Send otp or credential, not both.", code="one_factor_only")
        return attrs


class Credentials(Password, Factor):
    """Who signs in, with the second factor where there is one."""


class Proof(Factor):
    """A code, or a security key's answer: one of them."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse neither."""
        if not attrs:
            raise serializers.ValidationError(
                {"otp": serializers.ErrorDetail("Send otp or credential.", code="required")}
            )
        return super().validate(attrs)


class StepUpProof(serializers.Serializer[Any]):
    """Until when the code counts."""

    counts_until = serializers.DateTimeField()


class Token(serializers.Serializer[Any]):
    """A bearer token, shown this once, and when it ends."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField()
    must_enroll = serializers.BooleanField(
        help_text="Until you have enrolled a second factor it opens nothing but that."
    )


class ProgramRoles(serializers.Serializer[Any]):
    """What somebody may do in a program."""

    program_id = serializers.IntegerField()
    program_code = serializers.CharField()
    roles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices))


class Me(serializers.Serializer[Any]):
    """The user who asks."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    full_name = serializers.CharField()
    programs = ProgramRoles(many=True)


class Login(APIView):
    """Exchanges a password for a token."""

    authentication_classes = []
    permission_classes = [AllowAny]
    limit = "login"
    problems = {401, 403}

    @extend_schema(operation_id="auth_login", tags=["auth"], request=Credentials, responses={200: Token})
    def post(self, request: Request) -> Response:
        """Sign in; a wrong name and a wrong password are answered alike."""
        credentials = Credentials(data=request.data)
        credentials.is_valid(raise_exception=True)
        given = credentials.validated_data
        factor = given.pop("otp", None) or given.pop("credential", None)
        user = _by_password(request, given)
        is_proved = _second_factor(request, user, factor)
        with transaction.atomic():
            token, expires_at = factors.new_token(user, is_proved=is_proved)
            user_logged_in.send(sender=user.__class__, request=request._request, user=user)
        must_enroll = devices.is_required() and not is_proved
        made = {"token": token, "expires_at": expires_at, "must_enroll": must_enroll}
        return Response(Token(made).data, headers=factors.NOT_STORED)

    def get_authenticate_header(self, request: Request) -> str:
        """Name the scheme, so that a failed login is a 401."""
        return "Bearer"


class LoginQuestion(Login):
    """Asks a security key of whoever signs in."""

    @extend_schema(
        operation_id="auth_login_question",
        tags=["auth"],
        request=Password,
        responses={200: factors.Question},
    )
    def post(self, request: Request) -> Response:
        """Return what to ask one of your keys; its answer goes to `auth/login/` as `credential`, with the password again."""
        body = Password(data=request.data)
        body.is_valid(raise_exception=True)
        user = _by_password(request, body.validated_data)
        found = keys.question(user, Purpose.SIGN_IN)
        return Response(factors.Question({"public_key": found}).data, headers=factors.NOT_STORED)


class Logout(APIView):
    """Takes a token back."""

    @extend_schema(operation_id="auth_logout", tags=["auth"], request=None, responses={204: None})
    @transaction.atomic
    def post(self, request: Request) -> Response:
        """End the token that this request carries."""
        tokens.end_one(request.auth)
        user_logged_out.send(sender=request.user.__class__, request=request._request, user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class StepUp(APIView):
    """Takes a fresh code for the acts that need one."""

    limit = "step_up"

    @extend_schema(operation_id="auth_step_up", tags=["auth"], request=Proof, responses={200: StepUpProof})
    def post(self, request: Request) -> Response:
        """Give a code or your security key's answer; acts with this token that need one are done for the next minutes."""
        body = Proof(data=request.data)
        body.is_valid(raise_exception=True)
        (given,) = body.validated_data.values()
        keys.verify_either(request.user, given, purpose=Purpose.STEP_UP)
        proof = StepUpProof({"counts_until": stepup.prove_token(request.auth)})
        return Response(proof.data, headers={"Cache-Control": "no-store"})


class WhoAmI(APIView):
    """Says who is signed in."""

    @extend_schema(operation_id="auth_me", tags=["auth"], responses={200: Me})
    def get(self, request: Request) -> Response:
        """Return the user and the roles that they hold, by program."""
        user: Any = request.user
        return Response(
            Me(
                {
                    "id": user.pk,
                    "username": user.get_username(),
                    "full_name": user.get_full_name(),
                    "programs": programs.roles_of(user),
                }
            ).data
        )


class Health(APIView):
    """For load balancers and monitors: no authentication, no secrets, no call to the node."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = []

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Answer 200 when the database, the broker, the node and the sweep are well, else 503 and which is not."""
        checks = {"database": _database(), "broker": _broker()}
        is_there = checks["database"] == "ok"
        checks["node"] = _node() if is_there else "unknown"
        checks["sweep"] = _sweep() if is_there else "unknown"
        is_ok = set(checks.values()) == {"ok"}
        code = status.HTTP_200_OK if is_ok else status.HTTP_503_SERVICE_UNAVAILABLE
        body = {"status": "ok" if is_ok else "unavailable", "checks": checks}
        return Response(body, code, headers={"Cache-Control": "no-store"})


def _by_password(request: Request, given: dict[str, Any]) -> Any:
    user = authenticate(request._request, **given)
    if user is None:
        raise LoginFailed
    return user


def _second_factor(request: Request, user: Any, given: str | dict[str, Any] | None) -> bool:
    """Take the code or key of whoever has enrolled; say whether there was one. A wrong one counts like a wrong password."""
    if not devices.has_one(user):
        return False
    if given is None:
        raise errors.SecondFactorNeeded(
            "Send a code as otp, or your security key's answer as credential, too.",
            security_key=keys.has_one(user),
        )
    try:
        keys.verify_either(user, given, purpose=Purpose.SIGN_IN)
    except (errors.CodeWrong, errors.KeyRefused):
        lockout.count(request._request, user.get_username())
        raise
    return True


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unavailable"
    return "ok"


def _broker() -> str:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=BROKER_TIMEOUT_S, socket_connect_timeout=BROKER_TIMEOUT_S
    )
    try:
        client.ping()
    except redis.RedisError:
        return "unavailable"
    finally:
        client.close()
    return "ok"


def _node() -> str:
    seen = node.last_look()
    return "ok" if seen.is_ok else seen.code


def _sweep() -> str:
    return "late" if node.is_sweep_late() else "ok"
