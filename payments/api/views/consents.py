"""Texts that people of a program are asked to agree to, and what each said."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api.serializers import consents as serializers
from payments.api.views.scoped import ScopedList, act
from payments.models import Consent, ConsentText, Enrollment
from payments.selectors import erasures as selector
from payments.services import consents as service


class ConsentTexts(Idempotent, ScopedList):
    """The versions of a program's text."""

    serializer_class = serializers.ConsentTextOut
    queryset = ConsentText.objects.none()

    def get_queryset(self) -> QuerySet[ConsentText]:
        """Return the texts of the program in the address."""
        return selector.texts(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="consent_texts_list",
        tags=["people"],
        responses={200: serializers.ConsentTextOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List the versions, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="consent_texts_create",
        tags=["people"],
        request=serializers.NewConsentText,
        responses={201: serializers.ConsentTextOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Add a version of the text."""
        made = act(request, service.publish, serializers.NewConsentText, program_id=program_id)
        return Response(serializers.ConsentTextOut(made).data, status.HTTP_201_CREATED)


class EnrollmentConsents(Idempotent, ScopedList):
    """What a person agreed to in a program."""

    serializer_class = serializers.ConsentOut
    queryset = Consent.objects.none()

    def get_queryset(self) -> QuerySet[Consent]:
        """Return what the person of the enrollment in the address said in that program."""
        found = Enrollment.objects.get(pk=self.kwargs["enrollment_id"])
        rows = selector.consents(self.request.user)
        return rows.filter(program_id=found.program_id, beneficiary_id=found.beneficiary_id)

    @extend_schema(
        operation_id="enrollments_consents",
        tags=["people"],
        responses={200: serializers.ConsentOut(many=True)},
    )
    def get(self, request: Request, enrollment_id: int) -> Response:
        """List what the person said, newest first; that one counts."""
        return self.page(request)

    @extend_schema(
        operation_id="enrollments_record_consent",
        tags=["people"],
        request=serializers.NewConsent,
        responses={201: serializers.ConsentOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Record that the person agreed to a version of the text, or took that back; then their lines are held."""
        made = act(request, service.record, serializers.NewConsent, enrollment_id=enrollment_id)
        return Response(serializers.ConsentOut(made).data, status.HTTP_201_CREATED)
