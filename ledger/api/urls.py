"""Addresses of the ledger's API."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
