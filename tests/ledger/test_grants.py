"""The list of rights covers every table of the ledger, and none of them lets anything be changed."""

from django.apps import apps

from ledger import grants


class TestTableGrants:
    def test_names_every_table_of_the_ledger(self) -> None:
        tables = {model._meta.db_table for model in apps.get_app_config("ledger").get_models()}
        assert set(grants.TABLE_GRANTS) == tables

    def test_lets_the_application_read_and_add_only(self) -> None:
        assert {tuple(rights) for rights in grants.TABLE_GRANTS.values()} == {("SELECT", "INSERT")}
