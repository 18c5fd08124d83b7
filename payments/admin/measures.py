"""The pages of a program that count: what it achieves and was before, what paying will cost and costs elsewhere."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from payments.admin import outcome, projection, scope
from payments.models import Program


class MeasuredPages:
    """A button a page; they are for those who read the program, and services refuse whoever may not write."""

    @action(description="Outcomes", url_path="outcomes", icon="monitoring")
    def outcomes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what the program achieves."""
        return outcome.show(self, request, self._measured(request, object_id))

    @action(description="Enter a baseline", url_path="baseline", icon="history_edu")
    def baseline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Enter a figure from before the program."""
        return outcome.enter(self, request, self._measured(request, object_id))

    @action(description="What paying will cost", url_path="projection", icon="calculate")
    def projection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what a payment of so many people takes of the chain and costs."""
        return projection.show(self, request, self._measured(request, object_id))

    @action(description="Enter a cost elsewhere", url_path="cost-baseline", icon="price_check")
    def cost_baseline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Enter what paying costs elsewhere."""
        return projection.enter(self, request, self._measured(request, object_id))

    def _measured(self, request: HttpRequest, object_id: str) -> Program:
        program: Program = self.get_row(request, object_id)  # type: ignore[attr-defined]
        if not (scope.sees_everything(request) or program.pk in scope.reads(request)):
            raise PermissionDenied
        return program
