"""Signing requests: what signers elsewhere are to sign, the files for them, and what they returned."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.parsers import StrictJSONParser, UploadParser
from payments.api import filters
from payments.api.serializers import signing as serializers
from payments.api.views.scoped import Scoped, ScopedList
from payments.models import SigningRequest
from payments.onchain import returned
from payments.selectors import signing as selector
from payments.services import bundles
from payments.services import signing as service

BINARY = "application/octet-stream"


class SigningRequestList(ScopedList):
    """The signing requests of the user's programs."""

    serializer_class = serializers.SigningRequestOut
    filterset_class = filters.SigningRequests
    queryset = SigningRequest.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        return selector.requests(self.request.user)

    @extend_schema(
        operation_id="signing_requests_list",
        tags=["signing"],
        responses={200: serializers.SigningRequestOut(many=True)},
    )
    def get(self, request: Request) -> Response:
        """List signing requests, newest first."""
        return self.page(request)


class SigningRequestRead(Scoped):
    """One signing request."""

    @extend_schema(
        operation_id="signing_requests_read",
        tags=["signing"],
        responses={200: serializers.SigningRequestDetail},
    )
    def get(self, request: Request, signing_request_id: int) -> Response:
        """Return a request with its progress: which signers signed, when, and who brought it."""
        row = selector.request(request.user, signing_request_id)
        return Response(serializers.SigningRequestDetail(row).data)


class SigningRequestPsbt(Scoped):
    """The file that goes to the signers."""

    @extend_schema(
        operation_id="signing_requests_psbt",
        tags=["signing"],
        responses={(200, BINARY): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, signing_request_id: int) -> HttpResponse:
        """Return the PSBT as it went out, binary (BIP174)."""
        by: Any = request.user
        data = service.download(by=by, request_id=signing_request_id)
        return _file(data, f"signing-{signing_request_id}.psbt", BINARY)


class SigningRequestBundle(Scoped):
    """The file for the separate signing program."""

    @extend_schema(
        operation_id="signing_requests_bundle",
        tags=["signing"],
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, signing_request_id: int) -> HttpResponse:
        """Return the PSBT with all that the signing program compares it with: payments, manifest, approvers' signatures."""
        by: Any = request.user
        text = bundles.make(by=by, request_id=signing_request_id)
        return _file(text.encode(), f"signing-{signing_request_id}.json", "application/json")


class SigningRequestSignatures(Idempotent, Scoped):
    """What came back from a signer."""

    parser_classes = [StrictJSONParser, UploadParser]

    @extend_schema(
        operation_id="signing_requests_upload",
        tags=["signing"],
        request={
            "application/json": serializers.Signatures,
            "multipart/form-data": serializers.SignaturesFile,
        },
        responses={200: serializers.SignaturesOut},
    )
    def post(self, request: Request, signing_request_id: int) -> Response:
        """Take what a signer returned; one wrong signature refuses all of it, and a repetition changes nothing."""
        by: Any = request.user
        upload = service.upload(by=by, request_id=signing_request_id, data=_data(request))
        row = selector.request(by, signing_request_id)
        row |= {"added": upload.added, "repeated": upload.repeated}
        return Response(serializers.SignaturesOut(row).data)


def _data(request: Request) -> bytes:
    if not isinstance(request.data, QueryDict):
        text = serializers.Signatures(data=request.data)
        text.is_valid(raise_exception=True)
        return str(text.validated_data["psbt"]).encode()
    form = serializers.SignaturesFile(data=request.data)
    form.is_valid(raise_exception=True)
    # One byte more than is taken says that it is too large; the rest need not be read.
    return bytes(form.validated_data["file"].read(returned.MAX_BYTES + 1))


def _file(data: bytes, name: str, content_type: str) -> HttpResponse:
    response = HttpResponse(data, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
