"""Addresses of the pages of people."""

from django.urls import path

from payments.person import claim, election, grievance, receipt, status

urlpatterns = [
    path("claim/", claim.claim, name="person-claim"),
    path("election/", election.elect, name="person-election"),
    path("grievance/", grievance.lodge, name="person-grievance"),
    path("grievance/follow/", grievance.follow, name="person-grievance-follow"),
    path("status/", status.status, name="person-status"),
    path("receipt/<str:ticket>/", receipt.show, name="person-receipt"),
    path("receipt/<str:ticket>/receipt.json", receipt.download, name="person-receipt-file"),
]
