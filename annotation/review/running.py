"""Run the review's server until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rsvqa.annotation.review.access import Access, AccessError
from rsvqa.annotation.review.attempts import Attempts
from rsvqa.annotation.review.guard import Guard

DEFAULT_PORT = 8417
_PORTS_TRIED = 20


def open_socket(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens on `host`: on `port`, or on the first free one from `DEFAULT_PORT` without one.

    The same port at every start lets a page that was open find its unsaved edits again.

    Raises:
        AccessError: when there is no such address, or no free port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: Exception | None = None
    for candidate in [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED), 0]:
        # asyncio sends small packets at once (TCP_NODELAY) only where the protocol is named: else the body of an answer
        # waits 40 ms for the browser's word that it has the head
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
            listening.listen(256)
        except (OSError, OverflowError, UnicodeError) as error:  # the latter two: no port, no name of a host
            listening.close()
            problem = error
        else:
            return listening
    raise AccessError(f"cannot listen on {host}{'' if port is None else f', port {port}'}: {problem}") from problem


class _Impatient(H11Protocol):
    """Hangs up on who does not send his whole request in time: such connections cost memory, and are never few."""

    patience_s = 20.0
    _hanging_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch()

    def _watch(self) -> None:
        """Let the time run from a request's first byte, or the connection's beginning, to its last byte."""
        is_waiting = self.cycle is None or self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if is_waiting and not self.transport.is_closing():
            if self._hanging_up is None:
                self._hanging_up = self.loop.call_later(self.patience_s, self.transport.close)
        elif self._hanging_up is not None:
            self._hanging_up.cancel()
            self._hanging_up = None


def make_server(
    app: ASGIApp, access: Access, *, attempts: Attempts | None = None, patience_s: float = _Impatient.patience_s
) -> uvicorn.Server:
    """Return a server of `app` behind a guard; it listens on the sockets that its `run` is given.

    Args:
        app: of `server.create_app`.
        access: who may come in.
        attempts: how those are slowed who guess tokens and passwords.
        patience_s: seconds for which a request may be on its way.
    """
    return uvicorn.Server(
        uvicorn.Config(
            Guard(app, access, attempts or Attempts()),
            http=type("Impatient", (_Impatient,), {"patience_s": patience_s}),
            log_level="warning",
            access_log=False,  # addresses hold the token
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
    )


def serve(app: ASGIApp, access: Access, listening: socket.socket, *, announce: Callable[[str], None]) -> None:
    """Serve `app` behind a guard until SIGINT or SIGTERM.

    Args:
        app: of `server.create_app`.
        access: who may come in.
        listening: of `open_socket`; closed at the end.
        announce: is told the address, which holds the token; it can be opened at once.
    """
    announce(access.url)
    make_server(app, access).run(sockets=[listening])
