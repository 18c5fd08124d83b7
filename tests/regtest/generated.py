"""A client that a third party's generator makes from the document that is served: nobody here writes a line of it."""

import importlib
import shutil
import sys
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

NAME = "generated_govpay_client"
DOCUMENT = "application/vnd.oai.openapi+json"
# A zip is bytes, which the generator does not know.
SETTINGS = ConfigFile(post_hooks=[], content_type_overrides={"application/zip": "application/octet-stream"})


class Made:
    """The generated package, and clients of it for one server."""

    def __init__(self, web_url: str, folder: Path) -> None:
        self.web_url = web_url
        self.package = folder / NAME
        document = folder / "openapi.json"
        request = urllib.request.Request(f"{web_url}/api/schema/", headers={"Accept": DOCUMENT})
        with urllib.request.urlopen(request) as served, document.open("wb") as kept:
            shutil.copyfileobj(served, kept)
        config = Config.from_sources(
            SETTINGS,
            meta_type=MetaType.NONE,
            document_source=document,
            file_encoding="utf-8",
            overwrite=True,
            output_path=self.package,
        )
        self.warnings = [f"{found.header} {found.detail}" for found in generate(config=config)]
        sys.path.insert(0, str(folder))
        self.users: list[User] = []

    def module(self, name: str) -> ModuleType:
        """Return a module of the package, such as ``models``."""
        return importlib.import_module(f"{NAME}.{name}")

    def sign_in(self, username: str, password: str) -> "User":
        """Return a user of the API with a token of their own."""
        client = self.module("client").Client(base_url=self.web_url)
        body = self.module("models").CredentialsRequest(username=username, password=password)
        token = self.module("api.auth.auth_login").sync(client=client, body=body).token
        client.get_httpx_client().close()
        user = User(self, self.module("client").AuthenticatedClient(base_url=self.web_url, token=token))
        self.users.append(user)
        return user

    def forget(self) -> None:
        """Hang up, and take the package off the interpreter, so that the next one is read anew."""
        for user in self.users:
            user.client.get_httpx_client().close()
        sys.path.remove(str(self.package.parent))
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]


class User:
    """Somebody who calls operations by the names that the document gives them."""

    def __init__(self, made: Made, client: Any) -> None:
        self.made = made
        self.client = client

    def __call__(self, operation: str, *ids: int, **arguments: Any) -> Any:
        """Return what the generated function for ``tag.operation`` made of the answer, whether success or problem."""
        return self.made.module(f"api.{operation}").sync(*ids, client=self.client, **arguments)
