"""Addresses of the pages of people."""

from django.urls import path

from payments.person import grievance

urlpatterns = [
    path("grievance/", grievance.lodge, name="person-grievance"),
    path("grievance/follow/", grievance.follow, name="person-grievance-follow"),
]
