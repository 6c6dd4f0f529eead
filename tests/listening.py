"""Serve a `ThreadingHTTPServer` in this process while a test runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """Yield the server's `HOST:PORT`, and close it at the end."""
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def answering(handle: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[str]:
    """Yield the `HOST:PORT` of a server. `handle` receives each request and its body, and responds with `send`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self, self.rfile.read(int(self.headers.get("content-length", 0))))

        do_POST = do_HEAD = do_CONNECT = do_GET

        def log_message(self, *_: object) -> None: ...

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


def send(
    request: BaseHTTPRequestHandler, body: bytes = b"{}", status: int = 200, length: int | None = None, **headers: str
) -> None:
    request.send_response(status)
    given = {"content-type": "application/json", "content-length": str(length or len(body))}
    for name, value in (given | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
