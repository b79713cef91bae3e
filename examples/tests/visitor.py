"""A browser as far as the pages need one: it keeps cookies, follows and fills in forms."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import requests

__all__ = ["Form", "Page", "Visitor"]

_TIMEOUT: Final = 30  # seconds


@attrs.define
class Form:
    """Where it is posted to, and the attributes of its inputs by their names."""

    action: str
    inputs: dict[str, dict[str, str | None]] = attrs.field(factory=dict)


@attrs.define
class _Forms(HTMLParser):
    """The forms of a page, in order."""

    found: list[Form] = attrs.field(factory=list)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "form":
            self.found.append(Form(given["action"] or ""))
        elif tag == "input":
            self.found[-1].inputs[given["name"] or ""] = given


@attrs.frozen
class Page:
    """What came, after all redirections."""

    status: int
    path: str
    headers: Any
    text: str

    @property
    def forms(self) -> list[Form]:
        parser = _Forms()
        parser.feed(self.text)
        return parser.found


class Visitor:
    """Somebody with a browser, behind the proxy that tells the server their address."""

    def __init__(self, url: str, address: str) -> None:
        self.url, self.address = url, address
        self.session = requests.Session()
        self.session.trust_env = False
        self.pretend(None)

    def pretend(self, other: str | None) -> None:
        """Say to be at another address; the proxy adds the real one."""
        said = [] if other is None else [other]
        self.session.headers["X-Forwarded-For"] = ", ".join([*said, self.address])

    def get(self, path: str) -> Page:
        return _page(self.session.get(self.url + path, timeout=_TIMEOUT))

    def post(self, path: str, fields: dict[str, str]) -> Page:
        # As browsers do. Without it no framework could tell a form of its own over HTTPS.
        origin = {"Origin": self.url, "Referer": f"{self.url}/"}
        sent = self.session.post(self.url + path, fields, headers=origin, timeout=_TIMEOUT)
        return _page(sent)

    def submit(self, page: Page, action: str, **typed: str) -> Page:
        """Fill in the first form of the page that goes there."""
        form = next(form for form in page.forms if form.action == action)
        given = {name: told.get("value") or "" for name, told in form.inputs.items()}
        assert given.keys() >= typed.keys()
        return self.post(action, given | typed)

    # The pages of a login.

    def ask(self, number: str) -> Page:
        """Ask for a code."""
        return self.submit(self.get("/login"), "/login", number=number)

    def enter(self, code: str) -> Page:
        """Enter one."""
        return self.submit(self.get("/login/code"), "/login/code", code=code)


def _page(answer: requests.Response) -> Page:
    return Page(answer.status_code, urlsplit(answer.url).path, answer.headers, answer.text)
