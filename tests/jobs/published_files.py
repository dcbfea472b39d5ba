"""A web server of published files, as a process of its own: `python published_files.py FOLDER`; says its port.

It resumes (`Range`, `If-Range`), and ends answers early where FOLDER/faults.json says so: {"/file": [bytes, ...]}, one
for each of the next answers. FOLDER/requests.txt has a line for each request: path and `Range`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        with (FOLDER / "requests.txt").open("a") as log:
            log.write(f"{self.path} {asked}\n")
        path = FOLDER / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        body, tag = path.read_bytes(), f'"{path.stat().st_mtime_ns}"'
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.headers.get("If-Range") == tag else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: self._bytes_to_send()])

    def _bytes_to_send(self) -> int | None:
        faults = FOLDER / "faults.json"
        left = json.loads(faults.read_text()) if faults.exists() else {}
        if not left.get(self.path):
            return None
        end = int(left[self.path].pop(0))
        faults.write_text(json.dumps(left))
        return end

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
