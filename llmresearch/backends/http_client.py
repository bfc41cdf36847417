"""JSON and streams of lines over HTTP, with every way a server can fail told in one sentence.

The standard library's client, on purpose: nothing to install beside the engine, one connection that stays
open, no proxies from the environment, no redirects, no retries, and a line is handed over when it arrives.
Errors begin with the backend's name and carry the words by which failures are classified.
"""

import http.client
import json
import math
import os
import select
from pathlib import Path
from urllib.parse import urlsplit

from ..records import LlmResearchError

LONGEST_LINE = 1 << 20  # bytes; a longer line is no token
LONGEST_ANSWER = 16 << 20  # bytes of an answer that is not streamed
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServerProblem(LlmResearchError):
    """A server that is absent, slow, broken, or says something else than it should."""


class ServerAbsent(ServerProblem):
    """Nobody answers at the address."""


class Client:
    """One server and one open connection. `timeout_s` bounds each wait for a byte."""

    def __init__(self, name, url, timeout_s):
        self.name, self.url, self.timeout_s = name, str(url).strip().rstrip("/"), timeout_s
        parts = _address(self.url)
        if parts is None:
            raise ServerProblem(f"{name}: url: {url!r} is no address of a server. Write http://HOST:PORT.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.host, self.port = parts.hostname, parts.port or kind.default_port
        self.path = parts.path
        self.connection = kind(self.host, self.port, timeout=timeout_s)

    def connect(self):
        """An open connection, a new one where the server has let go of it: making one is in no measured time."""
        if self.connection.sock is not None and _over(self.connection.sock):
            self.connection.close()
        if self.connection.sock is None:
            self._guarded(self.connection.connect)

    def get(self, path):
        """The JSON that the server answers."""
        return self._whole("GET", path, None)

    def post(self, path, body):
        """The JSON that the server answers to this body."""
        return self._whole("POST", path, body)

    def stream(self, path, body):
        """Yield the lines of the answer to this body, as they arrive; empty ones left out."""
        answer = self._guarded(lambda: self._send("POST", path, body))
        lines = 0
        while True:
            line = self._guarded(lambda: answer.readline(LONGEST_LINE + 1), lines)
            if not line:
                return answer.close()  # the connection is free for the next request, however the answer's end was told
            if len(line) > LONGEST_LINE:
                raise self.nonsense("a line of more than a mebibyte")
            if line := line.strip():
                lines += 1
                yield line

    def decode(self, text):
        """The JSON mapping in these bytes; refuses anything else."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.nonsense(f"not JSON: {text[:80]!r}")
        return value

    def told(self, message, name, *kinds):
        """message[name], of one of these types; None where it is absent or null.

        Refuses anything else, a truth value among them, and a number that is negative or not finite.
        """
        value = message.get(name)
        wrong = isinstance(value, bool) or isinstance(value, (int, float)) and not 0 <= value < math.inf
        if value is None or isinstance(value, kinds) and not wrong:
            return value
        raise self.nonsense(f"{name}: {str(value)[:80]}")

    def listed(self, message, name, kind=dict):
        """message[name], a list of one type; empty where it is absent or null."""
        found = self.told(message, name, list) or []
        if all(isinstance(each, kind) for each in found):
            return found
        raise self.nonsense(f"{name}: {str(found)[:80]}")

    def nonsense(self, what):
        """The problem of a server that says what it should not."""
        self.close()
        return ServerProblem(
            f"{self.name}: {self.url} answered nonsense ({what}). Look which program has port {self.port}."
        )

    def broke_off(self, tokens, wanted):
        """The problem of a stream without its end."""
        self.close()
        return ServerProblem(
            f"{self.name}: the stream ended after {tokens} of {wanted} tokens, without its last message "
            f"({self.url}). "
            "Read the server's log for that moment."
        )

    def _whole(self, method, path, body):
        self.connect()
        answer = self._guarded(lambda: self._send(method, path, body))
        text = self._guarded(lambda: answer.read(LONGEST_ANSWER))
        if answer.length and len(text) < LONGEST_ANSWER:
            raise self._lost(f"{answer.length} bytes short of its answer")
        return self.decode(text)

    def _send(self, method, path, body):
        """The answer, its head read; a problem where its status is not 200."""
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, self.path + path, data, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        if 200 < answer.status < 400:
            raise self.nonsense(f"HTTP {answer.status} instead of an answer")
        if answer.status != 200:
            said = " ".join(answer.read(LONGEST_LINE).decode(errors="replace").split())[:300]
            self.close()
            raise ServerProblem(
                f"{self.name}: HTTP {answer.status} from {self.url}{path}: {said.rstrip('.') or 'no reason given'}. Read "
                "the server's log for that moment."
            )
        return answer

    def _guarded(self, step, answered=0):
        """What `step` gives; each way a connection breaks as one sentence."""
        try:
            return step()
        except TimeoutError as error:
            so_far = f", after {answered} tokens" if answered else ""
            problem = f"timed out{so_far}: no answer within {self.timeout_s:g} s from {self.url}"
            cause = error
        except ConnectionRefusedError as error:
            self.close()
            raise ServerAbsent(f"{self.name}: connection refused: no answer from {self.url}.") from error
        except http.client.BadStatusLine as error:
            gone = isinstance(error, http.client.RemoteDisconnected)
            problem = (
                f"connection closed by {self.url} without an answer"
                if gone
                else f"{self.url} answered nonsense, not HTTP"
            )
            cause = error
        except (http.client.HTTPException, OSError) as error:
            raise self._lost(f"{type(error).__name__}: {error}") from error
        self.close()
        raise ServerProblem(f"{self.name}: {problem}.") from cause

    def _lost(self, how):
        self.close()
        return ServerProblem(f"{self.name}: connection lost to {self.url} ({how}).")

    def close(self):
        """Ends the connection; the next request opens another."""
        self.connection.close()

    def processes(self):
        """Ids of the processes that listen on the server's port, and of their children; loopback only."""
        if self.host not in LOOPBACK:
            return ()
        sockets = {f"socket:[{inode}]" for inode in _listening(self.port)}
        listeners = {pid for pid in _pids() if sockets & set(_open_files(pid))} - {os.getpid()}
        return tuple(_with_children(listeners)) if sockets else ()


def _address(url):
    """The parts of a server's address; None for what is none."""
    try:
        parts = urlsplit(url)
        port, name = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:  # a port beyond 65535, a name that no host can have
        return None
    good = parts.scheme in ("http", "https") and name and port != 0 and not parts.query and not parts.username
    return parts if good else None


def _over(sock):
    """Has the other end closed a connection on which nothing is awaited, or sent what nobody asked for?"""
    return bool(select.select([sock], [], [], 0)[0])


def _listening(port):
    """Inodes of the sockets that listen on a port (Linux: /proc/net/tcp, state 0A)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        yield from (row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port)


def _pids():
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _open_files(pid):
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue


def _with_children(pids):
    """These processes and all that they started."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def _parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
