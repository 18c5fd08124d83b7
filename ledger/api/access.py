"""Who may read the books and who may have them reconciled."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

READ = "ledger.view_entry"
RECONCILE = "ledger.add_reconciliationrun"


class MayReadBooks(BasePermission):
    """Readers of the books see all scopes; reconciling takes a right of its own."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the user holds the rights that the method takes."""
        wanted = [READ, RECONCILE] if request.method == "POST" else [READ]
        return request.user.is_authenticated and request.user.has_perms(wanted)
