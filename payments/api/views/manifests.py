"""Approvers' keys, the manifests of lists, and what the keys signed of them."""

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from payments.api.serializers import manifest as serializers
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import ApproverKey, ManifestSignature
from payments.services import approver_keys
from payments.services import manifests as service


class ApproverKeys(Idempotent, ScopedList):
    """The user's own keys."""

    serializer_class = serializers.ApproverKeyOut
    queryset = ApproverKey.objects.none()

    def get_queryset(self) -> QuerySet[ApproverKey]:
        """Return the keys of the user alone."""
        return ApproverKey.objects.filter(user_id=self.request.user.pk or 0)

    @extend_schema(
        operation_id="approver_keys_list",
        tags=["signing"],
        responses={200: serializers.ApproverKeyOut(many=True)},
    )
    def get(self, request: Request) -> Response:
        """List your own keys, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="approver_keys_register",
        tags=["signing"],
        request=serializers.Registration,
        responses={201: serializers.ApproverKeyOut},
    )
    def post(self, request: Request) -> Response:
        """Register your public key with its proof; the same again changes nothing."""
        key = act(request, approver_keys.register, serializers.Registration)
        return Response(serializers.ApproverKeyOut(key).data, status.HTTP_201_CREATED)


class RetireApproverKey(Idempotent, Scoped):
    """The end of the user's own key."""

    is_of_caller = True

    @extend_schema(
        operation_id="approver_keys_retire",
        tags=["signing"],
        request=None,
        responses={200: serializers.ApproverKeyOut},
    )
    def post(self, request: Request) -> Response:
        """Retire your active key for good; tell every signer too."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return Response(serializers.ApproverKeyOut(approver_keys.retire(by=by)).data)


class Manifest(Scoped):
    """The text that an approver signs."""

    @extend_schema(
        operation_id="disbursements_manifest",
        tags=["signing"],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request, disbursement_id: int) -> StreamingHttpResponse:
        """Return the manifest; its SHA-256 is the list's manifest hash."""
        by: Any = request.user
        text = service.export(by=by, disbursement_id=disbursement_id)
        response = StreamingHttpResponse(text, content_type="text/plain; charset=us-ascii")
        response["Content-Disposition"] = f'attachment; filename="manifest-{disbursement_id}.txt"'
        return response


class ManifestSignatures(Idempotent, ScopedList):
    """What approvers' keys signed of a list."""

    serializer_class = serializers.ManifestSignatureOut
    queryset = ManifestSignature.objects.none()

    def get_queryset(self) -> QuerySet[ManifestSignature]:
        """Return the signatures of the list in the address."""
        rows = ManifestSignature.objects.filter(disbursement_id=self.kwargs["disbursement_id"])
        return rows.select_related("key__user")

    @extend_schema(
        operation_id="disbursements_manifest_signatures_list",
        tags=["signing"],
        responses={200: serializers.ManifestSignatureOut(many=True)},
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List the signatures, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="disbursements_manifest_sign",
        tags=["signing"],
        request=serializers.ManifestSigned,
        responses={201: serializers.ManifestSignatureOut},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Add the signature by your registered key; the same again changes nothing."""
        kept = act(request, service.sign, serializers.ManifestSigned, disbursement_id=disbursement_id)
        return Response(serializers.ManifestSignatureOut(kept).data, status.HTTP_201_CREATED)
