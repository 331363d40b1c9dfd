"""Who may ask: only the browser that opened the address with the token, only under our own name, only from our pages.

Another page in the same browser can send requests to this machine, and a name of the internet can be made to lead here
(DNS rebinding). So a request must name our host, a change must come from a page of ours, and everything but the first
address needs a cookie that no script and no other site can send.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[HTTPStatus, str], Response]
"""Makes the page that says why a request is refused."""

ENTRANCE = "/enter"
"""The path of the first address, which has the token and gives the cookie."""
_READING = ("GET", "HEAD")
SECURITY_HEADERS = {
    # Charts have style attributes, which cannot run anything; scripts and style sheets are files of ours.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, a form of ours would be sent with the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""What every response says: nothing from elsewhere, in no frame of others, in no cache."""


class AccessKeys:
    """The secrets of one run: the token of the first address, the cookie that it is exchanged for, and its name.

    Cookies of one host are sent to all of its ports, so that the name has the port.
    """

    def __init__(self, port: int) -> None:
        self.token, self._session = token_urlsafe(24), token_urlsafe(24)
        self.form_token = token_urlsafe(24)
        """What forms of our pages send along."""
        self._cookie = f"quivo-explorer-{port}"

    def admits_browser(self, cookies: Mapping[str, str]) -> bool:
        """Whether a browser has the cookie."""
        return hmac.compare_digest(cookies.get(self._cookie, "").encode(), self._session.encode())

    def is_token(self, text: str) -> bool:
        """Whether a text is the token."""
        return hmac.compare_digest(text.encode(), self.token.encode())

    def is_form_token(self, text: str) -> bool:
        """Whether a form is one of ours."""
        return hmac.compare_digest(text.encode(), self.form_token.encode())

    def give_cookie(self, response: Response) -> Response:
        """The response, with the cookie for the browser that had the token."""
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/")
        return response


class AccessGuard:
    """Lets requests through to an application that may ask, and adds the security headers to all responses."""

    def __init__(self, app: Application, keys: AccessKeys, hosts: Collection[str], refuse: Refuse) -> None:
        self._app, self._keys, self._hosts, self._refuse = app, keys, frozenset(hosts), refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                message["headers"] = headers.raw
            await send(message)

        answer = self._refusal(scope) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request is not answered, or where its browser is sent with its cookie; None if it may ask."""
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return self._refuse(
                HTTPStatus.MISDIRECTED_REQUEST, "This explorer is not called so. Open the address that it printed."
            )
        origin = headers.get("origin")
        is_ours = origin is not None and origin.lower() in {f"http://{host}" for host in self._hosts}
        if (origin is not None and not is_ours) or (scope["method"] not in _READING and not is_ours):
            return self._refuse(HTTPStatus.FORBIDDEN, "This request comes from another page, and is not answered.")
        if scope["path"] == ENTRANCE:
            return self._enter(scope)
        if not self._keys.admits_browser(Request(scope).cookies):
            return self._refuse(
                HTTPStatus.FORBIDDEN,
                "This browser has not been let in. Open what `quivo-frames explore` printed, with its token.",
            )
        return None

    def _enter(self, scope: Scope) -> Response:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._keys.is_token(given):
            return self._refuse(
                HTTPStatus.FORBIDDEN,
                "This token is not the one of this explorer, which has a new one each time it starts. Open the address "
                "that `quivo-frames explore` printed.",
            )
        return self._keys.give_cookie(RedirectResponse("/", HTTPStatus.SEE_OTHER))
