"""Evidence packs over HTTP: asked for, looked at, downloaded."""

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ledger.api.serializers import Digest, Strict
from ledger.models import PackJob, PackKind, PackStatus
from ledger.packs import answer, jobs


class MayMakePacks(BasePermission):
    """Packs hold the lists of all programs: they take a right of their own."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the user holds it."""
        return request.user.is_authenticated and request.user.has_perm(jobs.RIGHT)


class PackRequest(Strict):
    """What a pack is wanted of."""

    kind = serializers.ChoiceField(choices=PackKind.choices)
    name = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=30,
        trim_whitespace=False,
        help_text="A period's name, or a list's number; none for all books.",
    )
    scope = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=40,
        trim_whitespace=False,
        help_text="One scope such as program:1; else all.",
    )


class Pack(serializers.Serializer[Any]):
    """A pack that somebody asked for, and how far it is."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=PackKind.choices)
    name = serializers.CharField(allow_blank=True)
    scope = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=PackStatus.choices)
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()
    step = serializers.CharField(allow_blank=True, help_text="What is written now, as of a second or so ago.")
    done = serializers.IntegerField(help_text="Entries that are written.")
    total = serializers.IntegerField(help_text="Entries that there are to write.")
    finished_at = serializers.DateTimeField(allow_null=True)
    size_bytes = serializers.IntegerField(allow_null=True)
    sha256 = Digest(allow_null=True, help_text="Of the zip file.")
    code = serializers.CharField(allow_blank=True, help_text="Why it failed, or why its file was deleted.")
    message = serializers.CharField(allow_blank=True)


NOT_NOW: Any = {
    (409, "application/problem+json"): OpenApiResponse(
        {"$ref": "#/components/schemas/Problem"}, "It cannot be had now; the code says why."
    )
}
PACK = tuple(Pack().fields)


@extend_schema_view(get=extend_schema(operation_id="packs_list", tags=["packs"]))
class Packs(ListAPIView[Any]):
    """Evidence packs, latest first."""

    permission_classes = [MayMakePacks]
    serializer_class = Pack

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = PackJob.objects.values(*PACK)
        return rows

    @extend_schema(
        operation_id="packs_create",
        tags=["packs"],
        filters=False,
        request=PackRequest,
        responses={202: Pack, **NOT_NOW},
    )
    def post(self, request: Request) -> Response:
        """Ask for a pack; a worker makes it, and its file is there when its status is `done`."""
        wanted = PackRequest(data=request.data)
        wanted.is_valid(raise_exception=True)
        by: Any = request.user
        job = jobs.ask(by=by, **wanted.validated_data)
        return Response(Pack(jobs.get(by=by, job_id=job.pk)).data, status.HTTP_202_ACCEPTED)


class PackDetail(APIView):
    """One pack."""

    permission_classes = [MayMakePacks]

    @extend_schema(operation_id="packs_retrieve", tags=["packs"], responses={200: Pack})
    def get(self, request: Request, pk: int) -> Response:
        """Return how far a pack is."""
        by: Any = request.user
        return Response(Pack(jobs.get(by=by, job_id=pk)).data)


class PackFile(APIView):
    """The file of one pack."""

    limit = "exports"
    permission_classes = [MayMakePacks]

    @extend_schema(
        operation_id="packs_file",
        tags=["packs"],
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **NOT_NOW},
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        """Return the zip file of a pack that is done; else 409 `pack_not_there`."""
        by: Any = request.user
        return answer.as_file(*jobs.download(by=by, job_id=pk))
