"""The guard before every call to an address that a user typed."""

from __future__ import annotations

import http.server
import socket
import threading
import time
import traceback

import pytest

from webapp.addresses import OutboundRefusedError, parse_outbound_url, resolve_target
from webapp.outbound import (
    OutboundClient,
    OutboundError,
    OutboundFailedError,
    OutboundTooLargeError,
    Secret,
    check_outbound_url,
)

PUBLIC = "93.184.216.34"
NAMES = {
    "public.example": [PUBLIC],
    "public6.example": ["2606:2800:220:1:248:1893:25c8:1946"],
    "localhost": ["127.0.0.1", "::1"],
    "inside.example": ["10.0.0.5"],
    "mixed.example": [PUBLIC, "192.168.1.1"],
    "meta.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
}


def fake_resolver(host: str, port: int) -> list[str]:
    return NAMES.get(host, [])


REFUSED = [
    "http://127.0.0.1/",
    "http://127.0.0.1:8000/v1",
    "http://127.1/",
    "http://127.127.127.127/",
    "http://0.0.0.0/",
    "http://0/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.0x1/",
    "http://127。0。0。1/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::5db8:d822]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:c0a8:0101::1]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2001:db8::1]/",
    "http://[ff02::1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://inside.example/",
    "http://mixed.example/",
    "http://meta.example/",
    "http://mapped.example/",
    "http://127.0.0.1.nip.io/",
    "http://public.example@127.0.0.1/",
    "http://user:pass@public.example/",
    "http://127.0.0.1#@public.example/",
    "http://public.example\\@127.0.0.1/",
    "http://127.0.0.1\t.public.example/",
    "http:// public.example/",
    "file:///etc/passwd",
    "ftp://public.example/",
    "gopher://public.example/",
    "javascript:alert(1)",
    "//public.example/",
    "http:///path",
    "http://",
    "http://[::1",
    "http://public.example:99999/",
    "",
]


def test_it_knows_more_than_forty_ways_in():
    assert len(set(REFUSED)) >= 60


@pytest.mark.parametrize("url", REFUSED)
def test_it_refuses(url):
    with pytest.raises(OutboundRefusedError) as caught:
        check_outbound_url(url, resolver=fake_resolver)
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://public.example/v1", PUBLIC),
        ("http://PUBLIC.example.:8080/", PUBLIC),
        (f"http://{PUBLIC}/", PUBLIC),
        ("https://public6.example/", "2606:2800:220:1:248:1893:25c8:1946"),
        ("http://[2606:2800:220:1:248:1893:25c8:1946]:81/x", "2606:2800:220:1:248:1893:25c8:1946"),
        (f"http://[::ffff:{PUBLIC}]/", "::ffff:93.184.216.34"),
    ],
)
def test_it_lets_the_public_internet_through(url, address):
    assert resolve_target(parse_outbound_url(url), resolver=fake_resolver) in (
        address,
        "::ffff:5db8:d822",
    )


@pytest.mark.parametrize(
    ("url", "allow", "passes"),
    [
        ("http://127.0.0.1:8000/", ["127.0.0.1"], True),
        ("http://127.0.0.1:8000/", ["127.0.0.1:8000"], True),
        ("http://127.0.0.1:8001/", ["127.0.0.1:8000"], False),
        ("http://[::1]:9/", ["[::1]:9"], True),
        ("http://[::1]:9/", ["::1"], True),
        ("http://inside.example/", ["INSIDE.example"], True),
        ("http://inside.example/", ["example"], False),
        ("http://localhost./", ["localhost"], True),
        ("http://localhost/", [""], False),
        ("http://meta.example/", ["meta.example"], False),
        ("http://169.254.169.254/", ["169.254.169.254"], True),
    ],
)
def test_an_operator_opens_single_hosts_only(url, allow, passes):
    if passes:
        assert check_outbound_url(url, allow=allow, resolver=fake_resolver)
    else:
        with pytest.raises(OutboundRefusedError):
            check_outbound_url(url, allow=allow, resolver=fake_resolver)


def test_a_name_without_an_address_is_a_passing_failure():
    with pytest.raises(OutboundError) as caught:
        check_outbound_url("http://nowhere.example/", resolver=fake_resolver)
    assert not caught.value.permanent


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        self.server.seen.append((self.path, dict(self.headers), body))
        getattr(self, "say_" + self.path.strip("/").replace("-", "_"))()

    def reply(self, status=200, body=b"hello", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def say_ok(self):
        self.reply()

    def say_redirect(self):
        self.reply(302, b"", Location="http://127.0.0.1/secret")

    def say_gzip(self):
        self.reply(Content_Encoding="gzip")

    def say_large(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = b"x" * 65536
        try:
            for _ in range(200):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        except OSError:
            self.server.cut_off.set()
        self.close_connection = True

    def say_hang(self):
        self.server.release.wait(20)
        self.close_connection = True

    def say_drip_body(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.drip()

    def say_drip_headers(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip()

    def drip(self):
        try:
            while not self.server.release.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            pass
        self.close_connection = True


class QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up in the middle is what these tests are about."""


@pytest.fixture
def server():
    instance = QuietServer(("127.0.0.1", 0), Handler)
    instance.seen = []
    instance.release = threading.Event()
    instance.cut_off = threading.Event()
    thread = threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield instance
    instance.release.set()
    instance.shutdown()
    instance.server_close()


@pytest.fixture
def call(server):
    """POST to a path of the loopback server under a public-looking name that an operator listed."""
    client = OutboundClient(allow=["judge.example"], resolver=lambda host, port: ["127.0.0.1"])

    def send(path, **options):
        options = {"deadline_s": 5.0, "max_bytes": 100_000, "content": b"{}"} | options
        return client.request("POST", f"http://judge.example:{server.server_port}/{path}", **options)

    yield send
    client.close()


def test_it_sends_the_name_and_the_secret(call, server):
    reply = call("ok", secret=Secret("sk-canary"), content=b"ping")
    assert (reply.status, reply.body) == (200, b"hello")
    _path, headers, body = server.seen[0]
    assert headers["Host"] == f"judge.example:{server.server_port}"
    assert headers["Authorization"] == "Bearer sk-canary"
    assert body == b"ping"


def test_it_never_follows_a_redirect(call, server):
    assert call("redirect").status == 302
    assert len(server.seen) == 1


def test_it_stops_reading_a_large_answer(call, server):
    with pytest.raises(OutboundTooLargeError):
        call("large")
    assert server.cut_off.wait(10)


def test_it_refuses_a_compressed_answer(call):
    with pytest.raises(OutboundFailedError):
        call("gzip")


@pytest.mark.parametrize("path", ["hang", "drip-body", "drip-headers"])
def test_one_deadline_holds_however_slow_the_answer(call, path):
    began = time.monotonic()
    with pytest.raises(OutboundFailedError) as caught:
        call(path, deadline_s=0.4)
    assert caught.value.timed_out
    assert time.monotonic() - began < 2.0


def test_a_closed_port_is_a_failure_not_a_crash():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with OutboundClient(allow=["127.0.0.1"]) as client, pytest.raises(OutboundFailedError) as caught:
        client.request("GET", f"http://127.0.0.1:{port}/", deadline_s=2, max_bytes=10)
    assert not caught.value.timed_out


def test_rebinding_finds_the_door_shut(server):
    """The name is public when the form checks it and private when the call is made."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    asked = []

    def rebinding(host, port):
        asked.append(host)
        return next(answers)

    url = f"http://rebind.example:{server.server_port}/ok"
    check_outbound_url(url, resolver=rebinding)
    with OutboundClient(resolver=rebinding) as client, pytest.raises(OutboundRefusedError):
        client.request("POST", url, deadline_s=2, max_bytes=10)
    assert server.seen == []
    assert asked == ["rebind.example"] * 2


def test_a_connection_asks_for_the_name_once(server):
    asked = []

    def resolver(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    url = f"http://once.example:{server.server_port}/ok"
    with OutboundClient(allow=["once.example"], resolver=resolver) as client:
        for _ in range(3):
            assert client.request("POST", url, deadline_s=2, max_bytes=10).status == 200
    assert asked == ["once.example"]


def test_a_secret_shows_in_no_repr_and_no_traceback(server):
    secret = Secret("sk-canary-4711")
    assert "4711" not in f"{secret!r} {secret} {[secret]}"
    with OutboundClient(allow=["127.0.0.1"]) as client:
        try:
            client.request(
                "POST",
                f"http://127.0.0.1:{server.server_port}/hang",
                deadline_s=0.2,
                max_bytes=10,
                secret=secret,
            )
        except OutboundFailedError as error:
            shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            assert "judge" in shown or "127.0.0.1" in shown
            assert "4711" not in shown
        else:
            pytest.fail("the call should have timed out")
