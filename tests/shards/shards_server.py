"""A real HTTP server for the tests: byte ranges, and the faults that servers have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from attrs import Factory, define


@define
class Behaviour:
    """What the server does, and what it was asked."""

    ranges: bool = True
    drop: dict[str, list[int]] = Factory(dict)  # by file: for each coming answer, after how many bytes to hang up
    status: dict[str, list[int]] = Factory(dict)  # by file: the status of each coming answer
    page: set[str] = Factory(set)  # files answered with an HTML page and status 200
    sizeless: set[str] = Factory(set)  # files whose size is not told
    asked: list[tuple[str, int]] = Factory(list)  # file, and first byte
    sent: int = 0


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; knows single byte ranges."""

    def __init__(self, *arguments: Any, behaviour: Behaviour, **settings: Any) -> None:
        self.behaviour = behaviour
        super().__init__(*arguments, **settings)

    def do_HEAD(self) -> None:
        if Path(self.path).name in self.behaviour.sizeless:
            self.send_error(405)
        else:
            super().do_HEAD()

    def do_GET(self) -> None:
        asked, path = self.behaviour, Path(self.translate_path(self.path))
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if asked.ranges else None
        asked.asked.append((path.name, int(wanted[1]) if wanted else 0))
        if path.name in asked.page:
            self._answer(200, b"<!DOCTYPE html><html><body>Please log in</body></html>" + bytes(5000))
        elif asked.status.get(path.name):
            self.send_error(asked.status[path.name].pop(0))
        elif not path.is_file():
            self.send_error(404)
        elif wanted:
            self._answer(206, path.read_bytes()[int(wanted[1]) : int(wanted[2]) + 1])
        else:
            self._answer(200, path.read_bytes())

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        if Path(self.path).name not in self.behaviour.sizeless:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        drops = self.behaviour.drop.get(Path(self.path).name)
        cut = data[: drops.pop(0)] if drops else data
        self.wfile.write(cut)
        self.behaviour.sent += len(cut)
        self.close_connection = len(cut) < len(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Behaviour]]:
    """The URL of ``folder``, and how its server behaves."""
    behaviour = Behaviour()
    handler = partial(Handler, behaviour=behaviour, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", behaviour
        finally:
            server.shutdown()
            thread.join()
