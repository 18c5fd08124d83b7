"""The lists of rights cover every table of the ledger, and let nothing be changed but what can be thrown away."""

import pytest
from django.apps import apps

from ledger import grants


class TestTableGrants:
    def test_name_every_table_of_the_ledger(self) -> None:
        tables = {model._meta.db_table for model in apps.get_app_config("ledger").get_models()}
        assert set(grants.TABLE_GRANTS) == tables

    @pytest.mark.parametrize("listed", [grants.TABLE_GRANTS, grants.SEALER_GRANTS])
    def test_let_rows_be_read_and_added_only(self, listed: dict[str, list[str]]) -> None:
        kept = {
            tuple(rights)
            for table, rights in listed.items()
            if table not in (*grants.CHANGING, *grants.BLACKED_OUT)
        }
        assert kept <= {("SELECT",), ("SELECT", "INSERT"), ()}

    def test_lets_the_application_read_and_add_but_not_seal(self) -> None:
        seals = {
            table: tuple(rights) for table, rights in grants.TABLE_GRANTS.items() if table in grants.SEALS
        }
        blacked_out = {seals.pop(table) for table in grants.BLACKED_OUT}
        assert blacked_out == {("SELECT", "DELETE")}
        rest = {
            table: tuple(rights)
            for table, rights in grants.TABLE_GRANTS.items()
            if table not in (*seals, *grants.CHANGING, *grants.BLACKED_OUT)
        }
        assert set(seals.values()) == {("SELECT",)}
        assert set(rest.values()) == {("SELECT", "INSERT")}

    def test_lets_the_sealer_add_seals_and_nothing_else(self) -> None:
        adds = {table for table, rights in grants.SEALER_GRANTS.items() if "INSERT" in rights}
        assert adds == set(grants.SEALS)
        assert {right for rights in grants.SEALER_GRANTS.values() for right in rights} == {"SELECT", "INSERT"}
