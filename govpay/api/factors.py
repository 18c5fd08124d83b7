"""One's second factors over the API: what there is, enrolling an authenticator or a security key, naming, removing."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_field
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from govpay import tokens
from govpay.api.serializers import Nothing, StrictSerializer, Text
from govpay.api.tokens import LoginNeeded
from govpay.login import devices, keys, stepup
from govpay.login.keys import Purpose

NOT_STORED = {"Cache-Control": "no-store"}


@extend_schema_field({"type": "object", "additionalProperties": True})
class KeyJson(serializers.Field[Any, Any, Any, Any]):
    """An object of WebAuthn's JSON forms, as browsers read and write it (level 3, clause 5.1)."""

    default_error_messages = {"invalid": "Give the credential as a JSON object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        return dict(data)

    def to_representation(self, value: Any) -> Any:
        return value


class Question(serializers.Serializer[Any]):
    """What to hand to the browser, or to the library that asks the key."""

    public_key = KeyJson(help_text="For `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.")


class Secret(serializers.Serializer[Any]):
    """The secret of an authenticator that is being enrolled; it counts once a code was given."""

    secret = serializers.CharField(help_text="Base32, to be typed.")
    address = serializers.CharField(help_text="The otpauth address, to be shown as a QR code.")


class AppCode(StrictSerializer):
    """The code that the new authenticator shows."""

    otp = Text(max_length=40, write_only=True)


class NewKey(StrictSerializer):
    """A new security key's answer, and what it is called."""

    name = Text(max_length=keys.MOST_NAME)
    credential = KeyJson(write_only=True)


class KeyName(StrictSerializer):
    """What a key is called."""

    name = Text(max_length=keys.MOST_NAME)


class KeyOut(serializers.Serializer[Any]):
    """A security key of one's own."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class Codes(serializers.Serializer[Any]):
    """Recovery codes, shown this once."""

    recovery_codes = serializers.ListField(child=serializers.CharField())


class Enrolled(Codes):
    """What a new factor brought. Where it ended the user's tokens, the one that asked too, there is a new one."""

    token = serializers.CharField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class KeyAdded(Enrolled):
    """The new key, and what it brought."""

    key = KeyOut()


class Factors(serializers.Serializer[Any]):
    """What one has of second factors."""

    is_required = serializers.BooleanField()
    has_authenticator = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()
    security_keys = KeyOut(many=True)


def new_token(user: Any, *, is_proved: bool) -> tuple[str, Any]:
    """Make the token of a login, and return it and when it ends; with a fresh proof where a second factor was shown."""
    rules: dict[str, Any] = settings.REST_KNOX
    tokens.end_logins(user, keep=rules["TOKEN_LIMIT_PER_USER"] - 1)
    stored, token = AuthToken.objects.create(user=user, expiry=rules["TOKEN_TTL"])
    if is_proved:
        stepup.prove_token(stored)
    return token, stored.expiry


class OwnFactors(APIView):
    """An address about one's own second factors, for tokens that signing in gave."""

    limit = "step_up"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse named tokens: a narrow one must not open the door to all."""
        super().initial(request, *args, **kwargs)
        carried: Any = request.auth
        if carried.token_key.startswith(tokens.PREFIX):
            raise LoginNeeded("Sign in to look at or change your second factors.")


class FactorsRead(OwnFactors):
    """One's second factors."""

    @extend_schema(operation_id="factors_read", tags=["auth"], responses={200: Factors})
    def get(self, request: Request) -> Response:
        """Return which second factors you have."""
        user: Any = request.user
        found = {
            "is_required": devices.is_required(),
            "has_authenticator": devices.has_app(user),
            "recovery_codes_left": devices.codes_left(user),
            "security_keys": keys.of(user),
        }
        return Response(Factors(found).data)


class EnrollApp(OwnFactors):
    """Begins an authenticator."""

    @extend_schema(operation_id="authenticator_enroll", tags=["auth"], request=None, responses={200: Secret})
    def post(self, request: Request) -> Response:
        """Return the secret for a new authenticator, the same until its first code is given."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        device = devices.begin(request.user)
        found = {"secret": devices.secret_text(device), "address": devices.address(device)}
        return Response(Secret(found).data, headers=NOT_STORED)


class ConfirmApp(OwnFactors):
    """Lets an authenticator count."""

    @extend_schema(
        operation_id="authenticator_confirm", tags=["auth"], request=AppCode, responses={200: Enrolled}
    )
    def post(self, request: Request) -> Response:
        """Give the new authenticator's first code; it replaces one that was there, and ends all of your tokens."""
        body = AppCode(data=request.data)
        body.is_valid(raise_exception=True)
        codes = devices.confirm(request.user, body.validated_data["otp"])
        return Response(Enrolled(_brought(request.user, codes)).data, headers=NOT_STORED)


class RemoveApp(OwnFactors):
    """Removes the authenticator."""

    @extend_schema(operation_id="authenticator_remove", tags=["auth"], request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Remove your authenticator, if you have a security key."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        devices.remove_app(request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RenewCodes(OwnFactors):
    """Makes recovery codes."""

    @extend_schema(operation_id="recovery_codes_renew", tags=["auth"], request=None, responses={200: Codes})
    def post(self, request: Request) -> Response:
        """Return new recovery codes; the old ones end."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        codes = devices.renew_codes(request.user)
        return Response(Codes({"recovery_codes": codes}).data, headers=NOT_STORED)


class KeyQuestion(OwnFactors):
    """Asks for a new security key."""

    @extend_schema(
        operation_id="security_key_question", tags=["auth"], request=None, responses={200: Question}
    )
    def post(self, request: Request) -> Response:
        """Return what to ask a new security key; its answer counts once, within five minutes."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        found = keys.question_for_new(request.user)
        return Response(Question({"public_key": found}).data, headers=NOT_STORED)


class AddKey(OwnFactors):
    """Adds a security key."""

    @extend_schema(operation_id="security_key_add", tags=["auth"], request=NewKey, responses={201: KeyAdded})
    def post(self, request: Request) -> Response:
        """Add the key that answered; a first factor ends all of your tokens."""
        body = NewKey(data=request.data)
        body.is_valid(raise_exception=True)
        made, codes = keys.add(request.user, **body.validated_data)
        found = {"key": made} | _brought(request.user, codes)
        return Response(KeyAdded(found).data, status.HTTP_201_CREATED, headers=NOT_STORED)


class RenameKey(OwnFactors):
    """Names a security key."""

    @extend_schema(
        operation_id="security_key_rename", tags=["auth"], request=KeyName, responses={200: KeyOut}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Give one of your keys another name."""
        body = KeyName(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(KeyOut(keys.rename(request.user, security_key_id=pk, **body.validated_data)).data)


class RemoveKey(OwnFactors):
    """Removes a security key."""

    @extend_schema(operation_id="security_key_remove", tags=["auth"], request=None, responses={204: None})
    def post(self, request: Request, pk: int) -> Response:
        """Remove one of your keys, unless it is your only second factor."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        keys.remove(request.user, security_key_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class StepUpQuestion(APIView):
    """Asks a security key for a fresh proof, also of whoever holds a named token."""

    limit = "step_up"

    @extend_schema(
        operation_id="auth_step_up_question", tags=["auth"], request=None, responses={200: Question}
    )
    def post(self, request: Request) -> Response:
        """Return what to ask one of your keys; its answer goes to `auth/step-up/` as `credential`."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        found = keys.question(request.user, Purpose.STEP_UP)
        return Response(Question({"public_key": found}).data, headers=NOT_STORED)


def _brought(user: Any, codes: list[str]) -> dict[str, Any]:
    token, expires_at = new_token(user, is_proved=True) if codes else (None, None)
    return {"recovery_codes": codes, "token": token, "expires_at": expires_at}
