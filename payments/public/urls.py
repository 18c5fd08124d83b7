"""Addresses of the public page and its files."""

from django.urls import path

from govpay.api import converters
from payments.public import check, page, reserve

__all__ = ["converters", "urlpatterns"]

urlpatterns = [
    path("", page.show, name="transparency"),
    path("check/", check.show, name="transparency-check"),
    path("figures.json", page.figures, name="transparency-figures"),
    path("figures.json.note", page.note, name="transparency-note"),
    path("programs.csv", page.programs, name="transparency-programs"),
    path("reserve.csv", page.reserve, name="transparency-reserve"),
    path("reserve.json", reserve.addresses, name="transparency-addresses"),
    path("proofs/<id:pk>.json", reserve.proof, name="transparency-proof"),
]
