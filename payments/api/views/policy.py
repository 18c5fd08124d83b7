"""Policy profiles: the law that programs may go by."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ledger.law.policy import PROFILES
from payments.api.serializers import policy as serializers
from payments.api.views.scoped import Scoped


class PolicyProfiles(Scoped):
    """The rule sets that there are."""

    @extend_schema(
        operation_id="policy_profiles_list",
        tags=["programs"],
        responses={200: serializers.ProfileOut(many=True)},
    )
    def get(self, request: Request) -> Response:
        """Return every profile with what it says of each rule on which days, and where that is written."""
        return Response(serializers.ProfileOut(list(PROFILES.values()), many=True).data)
