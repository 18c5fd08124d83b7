"""The lists of rights cover every table of the ledger, and none of them lets anything be changed."""

import pytest
from django.apps import apps

from ledger import grants


class TestTableGrants:
    def test_name_every_table_of_the_ledger(self) -> None:
        tables = {model._meta.db_table for model in apps.get_app_config("ledger").get_models()}
        assert set(grants.TABLE_GRANTS) == tables

    @pytest.mark.parametrize("listed", [grants.TABLE_GRANTS, grants.SEALER_GRANTS])
    def test_let_rows_be_read_and_added_only(self, listed: dict[str, list[str]]) -> None:
        assert {tuple(rights) for rights in listed.values()} <= {("SELECT",), ("SELECT", "INSERT"), ()}
