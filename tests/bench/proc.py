"""Processes and what they cost, and the servers of cameras."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
USER = ("viewer", "bench-2026")


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


def cpu_seconds(pid):
    """User and system time of all threads of a process, those that ended included (proc(5): stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid, file, field):
    text = Path(f"/proc/{pid}/{file}").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M)[1]) * 1024


class Processes:
    """A recorder's processes taken together."""

    def __init__(self, pids):
        self.pids, self.pss, self.rss = pids, 0, 0

    def sample(self):
        return {"cpu": sum(cpu_seconds(p) for p in self.pids())}

    def watch_memory(self):
        # PSS divides what processes share; the peak RSS counts it in each.
        self.pss = max(self.pss, sum(memory(p, "smaps_rollup", "Pss") for p in self.pids()))
        self.rss = max(self.rss, sum(memory(p, "status", "VmHWM") for p in self.pids()))


WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range", "msync")


def calls_per_second(traced, volume, seconds):
    """Write and sync calls per second, by strace, outside the windows that measure CPU. Sockets and pipes do not count."""
    pids, scale = traced
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as out:
        command = ["strace", "-f", "-y", "-qq", "-e", "trace=" + ",".join(WRITES + SYNCS), "-o", out.name]
        for pid in pids:
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        tracer.terminate()
        tracer.wait()
        counts = {"volume": 0, "elsewhere": 0, "sync": 0}
        for line in out:
            call = re.match(r"\d+ +(\w+)\(\d*(?:<([^>]*)>)?", line)
            if not call:
                continue
            name, path = call[1], call[2] or ""
            if name in SYNCS:
                counts["sync"] += 1
            elif path.startswith(str(volume)):
                counts["volume"] += 1
            elif path.startswith("/") and not path.startswith(("/dev/", "/proc/")):
                counts["elsewhere"] += 1
        return {k: v * scale / seconds for k, v in counts.items()}


def threads(pid):
    """CPU seconds of each thread there is now: {(number, name): seconds}."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found[task.name, (task / "comm").read_text().strip()] = int((task / "schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just ended
    return found


class Cameras:
    """A server of cameras as a context; `url(i)` is where camera i is."""

    def __init__(self, command, count, url, read_port, user):
        self.command, self.count, self._url, self._read_port, self.user = command, count, url, read_port, user

    @classmethod
    def gstreamer(cls, root, count, clips, share=8):
        """Cameras that share a few pipelines, which is as cheap as GStreamer's server gets; with share 0 none do, and it counts what each sends."""
        support = root / "tests" / "support"
        made = root / "target" / "tmp" / "clips"
        subprocess.run([support / "clips", made], check=True)
        command = ["/usr/bin/python3", support / "gst_camera.py", "--cameras", str(count), "--share", str(share), "--user", ":".join(USER)]
        for clip in clips:
            command += ["--clip", made / clip]
        return cls(command, count, "cam{:02d}", lambda line: json.loads(line)["port"], USER)

    @classmethod
    def replay(cls, built, count, pictures, megabits):
        command = [built / "examples/replay", str(count), str(pictures), str(megabits)]
        return cls(command, count, "cam{:02d}/main", int, ("viewer", "demo"))

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        self.port = self._read_port(self.line)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def names(self):
        return [f"cam{i:02d}" for i in range(self.count)]

    def url(self, i):
        return f"rtsp://127.0.0.1:{self.port}/{self._url.format(i)}"

    def url_with_password(self, i):
        return self.url(i).replace("//", "//{}:{}@".format(*self.user), 1)

    def ask(self, line):
        """What GStreamer's server says to a control line."""
        with socket.create_connection(("127.0.0.1", json.loads(self.line)["control_port"])) as s:
            s.sendall(line.encode() + b"\n")
            return json.loads(s.makefile().readline())

    def sent(self):
        """Pictures that went out to each camera's clients, where no pipeline is shared."""
        sent = dict.fromkeys(self.names(), 0)
        for session in self.ask("sessions"):
            sent[session["camera"]] += session["sent"] if session["played_ns"] else 0
        return sent

    def cpu(self):
        return cpu_seconds(self.process.pid)


def get(path, target):
    """What a Unix socket answers to a GET, as JSON; None while nobody does."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(path))
            s.sendall(f"GET {target} HTTP/1.0\r\nHost: bench\r\n\r\n".encode())
            answer = b"".join(iter(lambda: s.recv(65536), b""))
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body) if b" 200 " in head.split(b"\r\n")[0] else None
