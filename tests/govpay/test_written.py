"""Serializers that are made once ask nothing of a request, so that nobody is shown what another one may read."""

import inspect
from importlib import import_module
from pkgutil import walk_packages

import pytest
from rest_framework import serializers

import govpay.api
import ledger.api
import payments.api
from govpay.api.serializers import written

PACKAGES = (govpay.api, ledger.api, payments.api)


def kinds() -> list[type[serializers.BaseSerializer]]:
    """Return every serializer of the project."""
    found = {}
    for package in PACKAGES:
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            for kind in vars(import_module(module.name)).values():
                if inspect.isclass(kind) and issubclass(kind, serializers.BaseSerializer):
                    found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return [kind for name, kind in sorted(found.items()) if not name.startswith("rest_framework.")]


def test_finds_the_serializers():
    assert len(kinds()) > 150


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__qualname__)
def test_says_whether_it_asks_the_request(kind):
    assert ("self.context" in inspect.getsource(kind)) <= getattr(kind, "of_request", False)


class Plain(serializers.Serializer):
    """Asks nothing."""

    name = serializers.CharField()


class Asking(serializers.Serializer):
    """Asks who reads."""

    of_request = True

    reader = serializers.SerializerMethodField()

    def get_reader(self, row):
        return self.context["reader"]


def test_writes_rows_as_the_serializer_does():
    rows = [{"name": "a"}, {"name": "b"}]
    assert written(Plain, rows, {}) == Plain(rows, many=True).data


def test_what_asks_the_request_is_made_for_each():
    assert [written(Asking, [{}], {"reader": name}) for name in "ab"] == [
        [{"reader": "a"}],
        [{"reader": "b"}],
    ]
