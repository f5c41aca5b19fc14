# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest image registry that docker pull is content with: one image of one layer."""

import gzip
import hashlib
import http.server
import io
import json
import socket
import tarfile
import threading

PORT = 5000
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _image():
    """(manifest, blobs) of an image that holds one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    layer = gzip.compress(packed.getvalue(), mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "history": [{"created_by": "lab"}],
                         "rootfs": {"type": "layers", "diff_ids": [_digest(packed.getvalue())]}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": _digest(config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(layer),
                    "digest": _digest(layer)}]}).encode()
    return manifest, {_digest(config): config, _digest(layer): layer}


class Registry:
    """Serves it on an address inside a namespace."""

    def __init__(self, space, address):
        manifest, blobs = _image()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # pylint: disable=invalid-name
                kind, body = "application/octet-stream", blobs.get(self.path.rsplit("/", 1)[-1])
                if "/manifests/" in self.path:
                    kind, body = MANIFEST_TYPE, manifest
                elif self.path == "/v2/":
                    kind, body = "application/json", b"{}"
                self.send_response(200 if body is not None else 404)
                body = body or b""
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", _digest(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, PORT), Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = space.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.socket.bind((address, PORT))
        self.server.server_activate()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
