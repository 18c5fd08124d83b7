"""Named tokens over the API: made with a login's token and shown once, listed, ended."""

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay import tokens
from govpay.api import scopes
from govpay.api.serializers import Nothing, StrictSerializer, Text, Whole
from govpay.errors import Forbidden
from govpay.models import ApiToken
from payments.api.serializers.fields import Username
from payments.api.views.scoped import Scoped, ScopedList
from payments.selectors import scope


class LoginNeeded(Forbidden):
    """Only a token that signing in gave makes others: a narrow one must not make a wide one."""

    code = "login_needed"


class NewToken(StrictSerializer):
    """What a new token reaches, and for how long."""

    name = Text(max_length=100, help_text="What it is for, and where it is kept.")
    scopes = serializers.ListField(
        child=Text(max_length=60),
        min_length=1,
        max_length=50,
        help_text="`read` for all reading, or areas: `disbursements:read`, `intakes:write`. Writing includes reading.",
    )
    program_id = Whole(
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text="Then it reaches only addresses that name something of this program.",
    )
    days = Whole(min_value=1, max_value=tokens.MOST_DAYS, help_text="Until it ends by itself.")

    def validate_scopes(self, value: list[str]) -> list[str]:
        """Refuse what is no scope, and say which areas there are."""
        unknown = sorted({text for text in value if not scopes.is_scope(text)})
        if unknown:
            message = (
                f"There is no scope {unknown[0]!r}: it is `read`, or `:read` or `:write` behind one of "
                f"{', '.join(scopes.areas())}."
            )
            raise serializers.ValidationError(message, code="scope_unknown")
        return value


class TokenOut(serializers.Serializer[Any]):
    """A token without its secret."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    username = Username(source="user")
    scopes = serializers.ListField(child=serializers.CharField())
    program_id = serializers.IntegerField(allow_null=True)
    is_live = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_by = Username(allow_null=True)


class TokenMade(TokenOut):
    """A token with its secret, which is shown this once."""

    token = serializers.CharField()


class Tokens(filters.FilterSet):  # type: ignore[misc]
    """By whether it still opens anything."""

    is_live = filters.BooleanFilter(method="living")

    class Meta:
        model = ApiToken
        fields: list[str] = []

    def living(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Return the live ones, or the others."""
        is_live = Q(token__isnull=False, expires_at__gt=timezone.now())
        return rows.filter(is_live if value else ~is_live)


class TokenList(ScopedList):
    """One's own tokens; an administrator's, everybody's."""

    serializer_class = TokenOut
    filterset_class = Tokens
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return what the user may end."""
        return tokens.visible(self.request.user)

    @extend_schema(operation_id="tokens_list", tags=["auth"], responses={200: TokenOut(many=True)})
    def get(self, request: Request) -> Response:
        """List tokens, newest first, ended ones too."""
        return self.page(request)

    @extend_schema(operation_id="tokens_create", tags=["auth"], request=NewToken, responses={201: TokenMade})
    def post(self, request: Request) -> Response:
        """Make a token; its secret is in this answer and nowhere else."""
        carried: Any = request.auth
        if carried.token_key.startswith(tokens.PREFIX):
            raise LoginNeeded("Sign in to make a token: one that was made cannot make another.")
        body = NewToken(data=request.data)
        body.is_valid(raise_exception=True)
        program_id = body.validated_data.get("program_id")
        if program_id is not None:
            scope.require_program(user=request.user, program_id=program_id)
        by: Any = request.user
        made, secret = tokens.make(user=by, **body.validated_data)
        shown = TokenOut(made).data | {"token": secret}
        return Response(shown, status.HTTP_201_CREATED)


class Own(Scoped):
    """An address that names a token: whose it is, the service judges."""

    scope = staticmethod(lambda **_: None)


class TokenRead(Own):
    """One token."""

    @extend_schema(operation_id="tokens_read", tags=["auth"], responses={200: TokenOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a token without its secret."""
        return Response(TokenOut(tokens.get(by=request.user, api_token_id=pk)).data)


class TokenEnd(Own):
    """Ends a token."""

    @extend_schema(operation_id="tokens_end", tags=["auth"], request=None, responses={200: TokenOut})
    def post(self, request: Request, pk: int) -> Response:
        """End a token at once, one's own or, as an administrator, anybody's."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return Response(TokenOut(tokens.end(by=by, api_token_id=pk)).data)
