"""Pages in the order in which things were written."""

from rest_framework.settings import api_settings


class OldestFirst(api_settings.DEFAULT_PAGINATION_CLASS):  # type: ignore[misc, name-defined]
    """The project's pages, from the first row on."""

    ordering = "id"
