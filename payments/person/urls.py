"""Addresses of the pages of people."""

from django.urls import path

from payments.person import claim, grievance

urlpatterns = [
    path("claim/", claim.claim, name="person-claim"),
    path("grievance/", grievance.lodge, name="person-grievance"),
    path("grievance/follow/", grievance.follow, name="person-grievance-follow"),
]
