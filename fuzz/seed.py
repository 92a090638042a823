#!/usr/bin/env python3
"""Makes what fuzzing begins with: a corpus for each target below fuzz/corpus, and the words of the formats.

From the fixtures of the tests, the example, and a few pieces of our own. Nothing of it is kept in the repository.
"""

import json
import re
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def seeds(target, pieces):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces):
        (folder / f"seed-{number}").write_bytes(piece)


def sources():
    places = [ROOT / "tests" / "fixtures", ROOT / "examples", ROOT / "services.d"]
    paths = [ROOT / "services.json", *(path for place in places for path in place.rglob("*.json"))]
    found = [path.read_bytes() for path in sorted(paths)]
    # What tests hold inline: every raw string that is an object or a list.
    for path in sorted((ROOT / "tests").rglob("*.rs")):
        for text in re.findall(r'r#"(\s*[{\[].*?)"#', path.read_text(), re.S):
            found.append(text.encode())
    return [source for source in found if len(source) < 20_000]


def requests():
    posts = {
        "start": [{"ids": ["web"]}, {"all": True, "wait": True}, {"group": "data", "wait": True, "timeout": 3}],
        "stop": [{"ids": ["web", "db"], "wait": True}],
        "restart": [{"ids": ["db"], "wait": True}],
        "adopt": [{"id": "db", "stranger": "4242-77"}],
        "stop-foreign": [{"id": "db", "stranger": "4242-77", "wait": True}],
        "run-action": [{"id": "web", "name": "seed"}],
        "enable": [{"ids": ["once"]}],
        "disable": [{"ids": ["web"]}],
        "reset": [{"ids": ["web"]}],
        "reload": [{}],
        "plan": [{"files": ["/srv/services.d/x.json"]}, {}],
        "wait": [{"ids": ["web"], "for": "healthy", "timeout": 5}],
        "shutdown": [{"keep_services": True}, {}],
    }
    heads = ["status", "status?samples=true", "ps", "ps?ids=web", "why/web", "why/web/config", "why/nobody", "address/web",
             "graph", "critical", "events", "events?last=3", "events?since=2026-01-01T00:00:00Z&follow=true"]
    for head in [*(f"/v1/{head}" for head in heads), "/openapi.json", "/nowhere", "/v1/why/%00"]:
        yield f"GET {head} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    for path, bodies in posts.items():
        for body in bodies:
            body = json.dumps(body)
            yield f"POST /v1/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    yield b"POST /v1/start HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"all\": t\r\n4\r\nrue}\r\n0\r\n\r\n"
    yield b"GET /v1/graph HTTP/1.1\r\nhost: x\r\n\r\nPOST /v1/stop HTTP/1.1\r\ncontent-length: 12\r\n\r\n{\"all\":true}"
    yield b"POST /v1/start HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 14\r\n\r\n{\"ids\":[\"db\"]}"


def answers():
    bodies = [b"", b"ok", b'{"status": "ok"}', b'{"status": "degraded", "message": "cold", "checks": {"db": "ok"}}',
              b'{"error": "the disk is \\u001b[31mfull\\nmore"}', b"\n <h1>\x1b[31mnope</h1>\r\nmore", b"x" * 300]
    for body in bodies:
        for code in (200, 418, 302, 404, 503):
            yield bytes([4 if code == 302 else 2 * (code == 418)]) + struct.pack(">H", code) + body
            head = f"HTTP/1.1 {code} Said\r\nContent-Type: application/json\r\n"
            for length in (f"Content-Length: {len(body)}\r\n", "", "Transfer-Encoding: chunked\r\n"):
                sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if "chunked" in length else body
                yield b"\x01\x00\x10" + (head + length + "\r\n").encode() + sent
    yield b"\x01\x00\x04HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: x\n\n"


def state():
    run = {"format": 1, "run": "r-1", "pid": 4242, "start_time": 7, "boot_id": "b", "spawn_hash": "h",
           "shared_hashes": {"A": "1"}, "since": "2026-01-01T00:00:00.000Z", "log_offset": 5, "stranger": True,
           "end": {"at": "2026-01-01T00:00:01Z", "code": 1, "signal": None}}
    line = {"at": "2026-01-01T00:00:00.000Z", "generation": 1, "kind": "exited", "service": "web", "run": "r-1", "text": "x"}
    agent = {"pid": 5, "version": "1", "config": "/x", "control": "/run/x", "dashboard": None}
    lines = (json.dumps(line) + "\n").encode()
    yield b"\x00" + json.dumps({"format": 1, "services": {"web": True, "db": False}}).encode()
    yield b"\x00" + json.dumps({"format": 1, "services": {"Web": True, "db": 7}}).encode()
    yield b"\x01" + bytes(16) + lines + b"\0" + lines + lines + lines[:20]
    yield b"\x01" + bytes(15) + b"\x30" + lines + lines[:-1]
    yield b"\x02" + json.dumps(agent).encode()
    yield b"\x03" + json.dumps(run).encode()
    yield b"\x04" + json.dumps({"format": 1, "runs": ["r-1", "../r"]}).encode()
    yield b"\x05" + json.dumps({"format": 1, "config": "/x/services.json"}).encode()
    written = b"2026-01-02T03:04:05Z one\n\x1b[1mtwo\x1b[0m\r\nthree 2026\n" * 3 + b"half"
    index = b"".join(struct.pack("<QQ", 1_767_225_600_000 + 1000 * at, 30 * at) for at in range(4))
    for how in range(0, 128, 6):
        record = struct.pack(">QQQQQ", 10, 20, 15, 0, 0)
        yield b"\x06" + bytes([how, len(index), 20]) + record + index + b"older lines\nof a log\n"[:20] + written
        yield b"\x06" + bytes([how | 2, 0, 0]) + struct.pack(">QQQQQ", (1 << 64) - 9, (1 << 64) - 8, 9, 0, 0) + written


def text():
    yield "plain ä 漢 🙂\tx\nmore\n".encode()
    for piece in ["\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "a\u009b2Jb", "\u009d0;t\u009cx",
                  "evil\u202etxt.exe\u2066\u2069", "10%\r20%\r\n", "\x1bPq#0\x1b\\x", "<b>&amp;</b>", "a\u2028b\x85c",
                  "postgres://me:secret@db/x --password hunter2 TOKEN=abc"]:
        yield (piece + "\n").encode()
        yield piece.encode("latin-1", "replace")


def main():
    found = sources()
    seeds("sources", [bytes([role]) + source for source in found for role in (0, 1)]
          + [b"\x02" + json.dumps({"scripts": {"dev": "vite"}, "pilotlight": {"services": []}}).encode()]
          + [b"\x04" + b"A=1\nexport B='x y'\nC=\"a\\n$b\" # c\nbad line\n"])
    plain = [source.replace(b"\0", b"") for source in found if len(source) < 3000]
    pairs = list(zip(plain, plain[1:] + plain[:1]))
    seeds("merge", [b"\x00" + one + b"\0\x01" + other + b"\0\x00" + other + b"\0\x01" for one, other in pairs]
          + [b"\x00" + one + b"\0\x02" + other + b"\0\x04" + one for one, other in pairs])
    for target in (requests, answers, state, text):
        seeds(target.__name__, list(target()))
    schema = (ROOT / "src/domain/catalog/schema.json").read_text()
    words = set(re.findall(r'"([a-z_]{2,30})"\s*:', schema)) | set(re.findall(r'"([a-z_]{2,30})"', schema))
    (HERE / "corpus" / "words.dict").write_text("".join(f'"\\"{word}\\""\n' for word in sorted(words)))


main()
