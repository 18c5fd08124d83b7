"""The base of the views: whatever an address names must be in one of the user's programs, before all else."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from rest_framework import exceptions
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from govpay.api.serializers import written
from payments.api import versions
from payments.selectors import scope

Expansion = Callable[[Any, list[dict[str, Any]]], None]
T = TypeVar("T")


def act(request: Request, service: Callable[..., T], body: type[Serializer[Any]], **ids: int) -> T:
    """Check the body, and make the one service call as whoever asks; raise ValidationError, and what the service raises."""
    said = body(data=request.data)
    said.is_valid(raise_exception=True)
    return service(by=request.user, **ids, **said.validated_data)


class Scoped(APIView):
    """Answers 404 for another program's ids in every verb, before the body is looked at."""

    scope: Callable[..., None] = staticmethod(scope.require)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the address after the token."""
        super().initial(request, *args, **kwargs)
        if kwargs:
            self.scope(user=request.user, **kwargs)

    def require_version(self, request: Request, **ids: int) -> None:
        """Raise VersionChanged unless what the address names is as the caller saw it."""
        versions.require(request, ids)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Keep names and addresses out of every cache between here and the caller; mark one thing with its version."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(response, Response):
            response = versions.mark(request, response)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class ScopedList(Scoped, GenericAPIView[Any]):
    """A list in cursor pages; get_queryset reads the address, the filters do the rest.

    ``expansions`` are what `expand` may ask for besides: each reads for all rows of a page at once, and adds to them.
    """

    expansions: ClassVar[dict[str, Expansion]] = {}

    def page(self, request: Request) -> Response:
        """Return one page of the filtered rows; raise ValidationError (``expand_invalid``)."""
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        for name in self._asked(request):
            self.expansions[name](request.user, rows)
        shown = written(self.get_serializer_class(), rows, self.get_serializer_context())
        return self.get_paginated_response(shown)

    def _asked(self, request: Request) -> list[str]:
        text = request.query_params.get("expand")
        asked = [] if text is None else sorted(set(text.split(",")))
        if not set(asked) <= set(self.expansions):
            message = f"expand is of {', '.join(sorted(self.expansions))}, separated by commas."
            raise exceptions.ValidationError({"expand": [message]}, code="expand_invalid")
        return asked
