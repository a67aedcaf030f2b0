"""A chat-completions server on the loopback that answers as its `script` says: well, badly or not at all."""

from __future__ import annotations

import http.server
import json
import threading


def completion(text="[[A]]", finish_reason="stop", logprobs=None, **message):
    choice = {"index": 0, "message": {"role": "assistant", "content": text} | message}
    choice |= {"finish_reason": finish_reason, "logprobs": logprobs}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}


def token(text, logprob=-0.1, **alternatives):
    rows = [{"token": name, "logprob": value} for name, value in alternatives.items()]
    return {"token": text, "logprob": logprob, "top_logprobs": rows}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.calls.append(body)
            self.server.headers.append(dict(self.headers))
            number = len(self.server.calls)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            self.server.script(self, body, number)
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def json(self, data, status=200, **headers):
        self.raw(json.dumps(data).encode(), status, **({"Content_Type": "application/json"} | headers))

    def raw(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, message, param=None, **headers):
        self.json({"error": {"message": message, "param": param}}, status, **headers)

    def hang(self):
        self.close_connection = True
        self.server.release.wait(30)

    def drip(self, start=b""):
        """One byte after another until the test ends."""
        self.close_connection = True
        try:
            self.wfile.write(start)
            while not self.server.release.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:
            self.server.hung_up.set()

    def endless(self, total=100 * 1024 * 1024):
        self.close_connection = True
        chunk = b" " * 65536
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(total // len(chunk)):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        except OSError:
            self.server.hung_up.set()


class FakeOpenAI(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = lambda request, body, number: request.json(completion())
        self.calls, self.headers = [], []
        self.lock = threading.Lock()
        self.release, self.hung_up = threading.Event(), threading.Event()
        self.under_way = self.most_under_way = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """A client that hangs up early is expected here."""

    def stop(self):
        self.release.set()
        self.shutdown()
        self.server_close()
