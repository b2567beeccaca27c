"""Nobody gets past the guard without the token, from another site, or with a trick in the path."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.annotation.review.access import Access, AccessError, is_loopback
from rsvqa.annotation.review.running import open_socket
from tests.annotation.review.make_questions import make_store
from tests.annotation.review.running_server import Client, running

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  of a test
PASSWORD = "correct horse battery"  # noqa: S105  of a test
BODY = json.dumps({"reviewer": "ann"}).encode()
JSON_TYPE: dict[str, str | None] = {"Content-Type": "application/json"}

FOREIGN_HOSTS = [
    "",
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:{port}.evil.example",
    "127.0.0.1.evil.example:{port}",
    "localhost.evil.example:{port}",
    "localhost",
    "0.0.0.0:{port}",
    "127.0.0.2:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "user@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}, evil.example",
    "127.0.0.1:{port} evil.example",
    "127.0.0.1:0{port}",
    "LOCALHOST.:{port}",
    "localhost:{port}:80",
    "*",
    None,
]
FOREIGN_ORIGINS = [
    "null",
    "http://evil.example",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost:{port}",
    "http://127.0.0.1:{port}.evil.example",
    "http://evil.example/127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "http://user@127.0.0.1:{port}",
    "file://",
    "chrome-extension://abcdef",
    "data:",
    " ",
]
FOREIGN_SITES = ["cross-site", "same-site", "none, cross-site", "", "SAME-ORIGIN"]
PATHS_BELOW = [
    "../",
    "../../etc/passwd",
    "..%2f..%2fetc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%252e%252e/etc/passwd",
    "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd",
    "./main.js",
    "//main.js",
    "/main.js",
    "main.js/",
    "main.js%00",
    "main.js%00.css",
    "main.js;.css",
    "main.js::$DATA",
    "MAIN.JS",
    "main.py",
    "server.py",
    "../server.py",
    "../../server.py",
    "vendor",
    "vendor/",
    "vendor/../main.js",
    "vendor/%2e%2e/main.js",
    "vendor/README.md",
    "vendor/LICENSE.openseadragon.txt",
    "vendor/openseadragon.min.js/../../main.js",
    ".git/config",
    ".env",
    "api",
    "api/",
    "api/next",
    "api/decide",
    "api/..",
    "api/../main.js",
    "api/%6eext",
    "openapi.json",
    "docs",
    "redoc",
    "static/main.js",
    "tiles",
    "tiles/",
    "tiles/a/0/0_0.jpg",
    "tiles/..%2f..%2f/0/0_0.jpg",
    "tiles/../0/0_0.jpg",
    "tiles/{key}/-1/0_0.jpg",
    "tiles/{key}/99/0_0.jpg",
    "tiles/{key}/3/-1_0.jpg",
    "tiles/{key}/3/0_0.png",
    "tiles/{key}/3/0_0.jpg/x",
    "tiles/{key}/3/99999999999999999999_0.jpg",
    "tiles/{key}/3/%30_0.jpg",
    "tiles/{key}/1e3/0_0.jpg",
    "review.sqlite",
    "../review.sqlite",
    "etc/passwd",
    "?file=../../etc/passwd/..",
    "main.js~",
    "main.js.bak",
    "%",
    "%zz",
    "\u00e9".encode().decode("latin-1"),
    "a" * 5_000,
]
WRONG_PREFIXES = [
    "",
    "/",
    "//",
    "/index.html",
    "/main.js",
    "/api/next",
    "/api/session",
    "/tiles/{key}/3/0_0.jpg",
    "/{short}/",
    "/{short}/main.js",
    "/{token}",
    "/{token}x/",
    "/x{token}/",
    "/{upper}/",
    "/{token}%20/",
    "/%20{token}/",
    "//{token}/",
    "/./{token}/",
    "/../{token}/",
    "/x/../{token}/",
    "/{token}/../{token}/",
    "/{encoded}/",
    "/*/",
    "/null/",
    "/undefined/",
    "/token/",
    "/?token={token}",
    "/#{token}",
    "/login",
    "/admin",
    "/.well-known/security.txt",
    "/robots.txt",
    "/favicon.ico",
    "/{token};/",
    "/{token}\\main.js",
    "http://evil.example/{token}/",
    "http://127.0.0.1:{port}/{token}/main.js",
]
METHODS = ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "FOO"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    store = make_store(tmp_path)
    with store, running(store) as client:
        yield client


def hostile(client: Client) -> Iterator[tuple[str, str, dict[str, str | None], bytes | None]]:
    """Yield requests that must not be served: method, path, headers, body."""
    access = client.access
    token, port = access.token, str(access.port)
    key = "0" * 24
    names = {
        "token": token,
        "port": port,
        "key": key,
        "short": token[:-1],
        "upper": token.swapcase(),
        "encoded": "".join(f"%{ord(letter):02x}" for letter in token),
    }

    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], text)

    page, act = f"/{token}/", f"/{token}/api/next"
    for host in FOREIGN_HOSTS:
        for method, path, body in (("GET", page, None), ("POST", act, BODY)):
            headers = {"Host": None if host is None else filled(host), **(JSON_TYPE if body else {})}
            yield method, path, headers, body
    for origin in FOREIGN_ORIGINS:
        yield "GET", page, {"Origin": filled(origin)}, None
        yield "POST", act, {"Origin": filled(origin), **JSON_TYPE}, BODY
    for site in FOREIGN_SITES:
        yield "GET", page, {"Sec-Fetch-Site": site}, None
        yield "POST", act, {"Sec-Fetch-Site": site, **JSON_TYPE}, BODY
    for prefix in WRONG_PREFIXES:
        yield "GET", filled(prefix) or "*", {}, None
        yield "POST", filled(prefix) or "*", JSON_TYPE, BODY
    for below in PATHS_BELOW:
        yield "GET", page + filled(below), {}, None
    for method in METHODS:
        yield method, page, {}, None
    for kind in ("", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/json"):
        yield "POST", act, {"Content-Type": kind}, BODY
    yield "POST", act, {**JSON_TYPE, "Content-Length": "999999999"}, None
    yield "POST", act, {**JSON_TYPE, "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"
    yield "GET", page, {"Upgrade": "websocket", "Connection": "Upgrade", "Host": "evil.example"}, None


def status_of(client: Client, method: str, path: str, headers: dict[str, str | None], body: bytes | None) -> int | None:
    """Return the status of a request written byte by byte; None when the server only hangs up."""
    lines = [f"{method} {path} HTTP/1.1"]
    given = {"Host": client.host, "Connection": "close", **headers}
    if body is not None and "Transfer-Encoding" not in given:
        given.setdefault("Content-Length", str(len(body)))
    lines += [f"{name}: {value}" for name, value in given.items() if value is not None]
    with socket.create_connection(("127.0.0.1", client.access.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else None


def test_no_hostile_request_is_served(client: Client) -> None:
    requests = list(hostile(client))
    assert len(requests) >= 200
    served = {}
    for method, path, headers, body in requests:
        status = status_of(client, method, path, headers, body)
        # 400: the request was no HTTP, which the server below the guard notices
        if status not in (None, 400, 403, 404):
            served[method, path, str(headers)] = status
    assert served == {}
    assert client.get("").status == 200  # and it still works


def test_the_right_request_is_served_by_every_name_of_loopback(client: Client) -> None:
    port = client.access.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LocalHost:{port}"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", **JSON_TYPE}
        answer = client.send("POST", f"/{client.access.token}/api/next", body=BODY, headers=headers)
        assert answer.status == 200, host


def test_two_host_headers_are_refused(client: Client) -> None:
    text = f"GET /{client.access.token}/ HTTP/1.1\r\nHost: {client.host}\r\nHost: evil.example\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.access.port), timeout=10) as connection:
        connection.sendall(text.encode())
        assert connection.recv(100).split(b" ")[1] in (b"400", b"403")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: Client) -> None:
    headers = {**JSON_TYPE, "Content-Length": "256001"}
    assert status_of(client, "POST", f"/{client.access.token}/api/next", dict(headers), None) == 403


@pytest.mark.parametrize("path", ["", "main.js", "nothing", "api/next"])
def test_every_answer_carries_the_policy(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_a_password_is_asked_for_and_any_name_goes_with_it(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with store, running(store, password=PASSWORD) as client:
        path = f"/{client.access.token}/"
        refused = client.send("GET", path)
        assert (refused.status, refused.headers["www-authenticate"][:5]) == (401, "Basic")
        for wrong in ("Basic eDp5", "Basic !", "Bearer x", "Basic"):  # eDp5: x:y
            assert client.send("GET", path, headers={"Authorization": wrong}).status == 401
        # ann:correct horse battery
        right = {"Authorization": "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ=="}
        assert client.send("GET", path, headers=right).status == 200
        assert client.send("GET", "/", headers=right).status == 404


def test_beyond_loopback_a_password_is_needed() -> None:
    with pytest.raises(AccessError, match=r"`host` 0\.0\.0\.0 opens the review to the network.*`password`"):
        Access(host=ALL_ADDRESSES, port=8417)
    with pytest.raises(AccessError, match="has 5 characters; expected 12 or more"):
        Access(host=ALL_ADDRESSES, port=8417, password="short")
    assert Access(host=ALL_ADDRESSES, port=8417, password=PASSWORD).url.startswith("http://0.0.0.0:8417/")


def test_a_server_for_all_addresses_is_called_by_address_only() -> None:
    access = Access(host=ALL_ADDRESSES, port=8417, password=PASSWORD)
    assert access.knows_host("192.168.1.5:8417")
    assert access.knows_host(f"{socket.gethostname().lower()}:8417")
    assert not access.knows_host("evil.example:8417")


@pytest.mark.parametrize(
    ("host", "is_it"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("box", False)]
)
def test_loopback_is_known(host: str, is_it: bool) -> None:
    assert is_loopback(host) == is_it


def test_token_and_password_are_in_no_text() -> None:
    access = Access(host="127.0.0.1", port=8417, password=PASSWORD)
    assert access.token not in repr(access)
    assert PASSWORD not in repr(access) + access.url
    assert len({Access(host="127.0.0.1", port=1).token for _ in range(50)}) == 50


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("a..b", 0)])
def test_an_address_that_is_none_is_refused_in_one_line(host: str, port: int) -> None:
    with pytest.raises(AccessError, match=rf"cannot listen on {re.escape(host)}, port {port}: "):
        open_socket(host, port)


def test_a_host_is_known_without_the_usual_port_and_in_any_case() -> None:
    access = Access(host="MyBox", port=80, password=PASSWORD)
    assert [access.knows_host(name) for name in ("mybox", "mybox:80", "[::1]")] == [True] * 3
    assert [access.knows_host(name) for name in ("mybox:8417", "evil.example", "")] == [False] * 3


def test_a_port_in_use_is_told() -> None:
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AccessError, match=f"cannot listen on 127.0.0.1, port {port}"):
            open_socket("127.0.0.1", port)
