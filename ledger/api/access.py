"""Who may read the books, and who may do something with them besides."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

READ = "ledger.view_entry"
RECONCILE = "ledger.add_reconciliationrun"


class MayReadBooks(BasePermission):
    """Readers of the books see all scopes; a POST, such as reconciling, takes a right of its own besides."""

    to_post = RECONCILE

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the user holds the rights that the method takes."""
        wanted = [READ, self.to_post] if request.method == "POST" else [READ]
        return request.user.is_authenticated and request.user.has_perms(wanted)
