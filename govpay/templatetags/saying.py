"""Lets templates say what code names: ``{{ table.title|said }}``."""

from django import template

from govpay.said import said

register = template.Library()
register.filter("said", said)
