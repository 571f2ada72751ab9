"""An object store in a few lines that can be told to fail: S3's PUT, GET, HEAD, DELETE, copy and lists, in memory.

Only for faults; that we speak S3 as a real server understands it is tried against one elsewhere. Signatures are not
checked, the SHA-256 that comes with an object is.
"""

import base64
import hashlib
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STALL_SECONDS = 5.0


class FaultyS3(ThreadingHTTPServer):
    """One bucket; `fault` is what happens to each request from now on, or to the next `times` of them.

    `error`: 503; `away`: the line is cut before anything is done; `lost`: it is done, then the line is cut;
    `stall`: no answer for a while, and nothing is done; `short`: a body that ends early.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.fault: str | None = None
        self.times = -1
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fail(self, fault: str | None, times: int = -1) -> None:
        self.fault, self.times = fault, times

    def take_fault(self) -> str | None:
        self.requests += 1
        if self.fault is None or self.times == 0:
            return None
        self.times -= 1
        return self.fault

    def files(self) -> dict[str, bytes]:
        """The stored files of cameras, without sidecars and what receivers leave for one another."""
        return {
            key: data
            for key, data in self.objects.items()
            if not key.endswith(".json") and "partial/" not in key and "pending/" not in key
        }


@contextmanager
def running() -> Iterator[FaultyS3]:
    server = FaultyS3()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyS3

    def log_message(self, *given: object) -> None:
        pass

    def _handle(self) -> None:
        body = self._body()
        fault = self.server.take_fault()
        if fault == "stall":
            time.sleep(STALL_SECONDS)
        if fault in ("stall", "away"):
            self.close_connection = True
            return
        if fault == "error":
            self._answer(503, b"<Error><Code>ServiceUnavailable</Code></Error>")
            return
        status, data, headers = self._do(body)
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(status, data, headers, short=fault == "short")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _handle

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "x-amz-decoded-content-length" not in self.headers:
            return body
        plain, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size.split(b";")[0], 16)
            if not length:
                break
            plain, rest = plain + rest[:length], rest[length + 2 :]
        return plain

    def _do(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        key = urllib.parse.unquote(url.path).removeprefix("/").partition("/")[2]
        objects = self.server.objects
        if not key:
            return self._do_bucket(query, body)
        if self.command == "PUT":
            return self._put(key, body)
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, b"", {}
        if key not in objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        data, headers = objects[key], {"ETag": f'"{hashlib.md5(objects[key]).hexdigest()}"'}
        headers["Last-Modified"] = formatdate(usegmt=True)
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return 206, data[first : last + 1], headers
        return 200, data, headers

    def _do_bucket(self, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if self.command == "POST" and "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.server.objects.pop(key, None)
            return 200, b"<DeleteResult/>", {}
        prefix = query.get("prefix", [""])[0]
        items = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(data)}</Size>"
            "<LastModified>2026-11-25T12:00:00.000Z</LastModified></Contents>"
            for key, data in sorted(self.server.objects.items())
            if key.startswith(prefix)
        )
        return (
            200,
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode(),
            {},
        )

    def _put(self, key: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        etag = {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        if source := self.headers.get("x-amz-copy-source"):
            name = urllib.parse.unquote(source).lstrip("/").partition("/")[2]
            self.server.objects[key] = self.server.objects[name]
            return 200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>", {}
        answer = self.headers.get("x-amz-checksum-sha256")
        if answer and answer != base64.b64encode(hashlib.sha256(body).digest()).decode():
            return 400, b"<Error><Code>BadDigest</Code></Error>", {}
        self.server.objects[key] = body
        return 200, b"", etag

    def _answer(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, *, short: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if short else data)
        if short:
            self.close_connection = True
