"""The recorders that are measured, each behind the same few methods."""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proc import get


class Recorder:
    """start, wait_until_running, pids, stop, written, clean."""

    name, volume = "", None

    def __init__(self, target, work, cameras, args):
        self.built, self.cameras, self.args = target / args.profile, cameras, args
        self.dir = work / re.sub(r"\W+", "-", self.name)
        self.children = []

    def spawn(self, command):
        log = open(self.dir / "log", "a")
        self.children.append(subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def pids(self):
        return [c.pid for c in self.children]

    def traced(self):
        """Whom strace is to look at, and by how much to multiply what it sees."""
        return self.pids(), 1

    def running(self):
        return all(c.poll() is None for c in self.children)

    def ready(self):
        raise NotImplementedError

    def wait_until_running(self, limit):
        end = time.monotonic() + limit
        while not self.ready():
            if not self.running() or time.monotonic() > end:
                raise SystemExit(f"{self.name} has not all cameras after {limit:g} s: {self.last_words()}")
            time.sleep(0.2)

    def last_words(self):
        return (self.dir / "log").read_text()[-2000:]

    def stop(self):
        for c in self.children:
            c.send_signal(signal.SIGTERM)
        for c in self.children:
            try:
                c.wait(20)
            except subprocess.TimeoutExpired:
                c.kill()
                c.wait()
        self.children = []

    def files(self):
        return [p for p in self.volume.rglob("*.mp4") if p.stat().st_size]

    def written(self):
        """Bytes of files, and bytes of the samples in them as ffprobe finds them. The first 64 files tell."""

        def coded(path):
            probe = ["ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", path]
            sizes = subprocess.run(probe, capture_output=True, text=True).stdout
            return sum(int(n) for n in re.findall(r"\d+", sizes))

        files = self.files()[:64]
        with ThreadPoolExecutor(2) as pool:
            return sum(p.stat().st_size for p in files), sum(pool.map(coded, files))

    def clean(self):
        shutil.rmtree(self.dir)


class Custodian(Recorder):
    name = "custodian"

    def start(self):
        self.volume = self.dir / "volume"
        self.volume.mkdir(parents=True)
        (self.dir / "state").mkdir()
        user, password = self.cameras.user
        (self.dir / "secrets.toml").write_text(f'[credentials.viewer]\nusername = "{user}"\npassword = "{password}"\n')
        (self.dir / "secrets.toml").chmod(0o600)
        site = [
            '[site]\nname = "Bench"\ntimezone = "Asia/Ho_Chi_Minh"\n\n[recorder.a]\n[[recorder.a.volume]]\nname = "v1"\n'
            f'path = "{self.volume}"\n\n[area.yard]\nname = "Yard"\nkind = "public"\n'
        ]
        for i, name in enumerate(self.cameras.names()):
            site.append(
                f'[camera.{name}]\nname = "{name}"\narea = "yard"\nmain = "{self.cameras.url(i)}"\n'
                f'credentials = "viewer"\ntransport = "{self.args.transport}"\nbitrate = "2 Mbit/s"\n'
            )
        (self.dir / "site.toml").write_text("\n".join(site))
        program = self.built / "custodian"
        subprocess.run([program, "volume", "init", "--site", self.dir / "site.toml"], check=True, stdout=subprocess.DEVNULL)
        self.spawn([program, "record", "--site", self.dir / "site.toml", "--recorder", "a", "--state", self.dir / "state"])

    def ready(self):
        status = get(self.dir / "state/run/status/status.sock", "/v1/status")
        if not status:
            return False
        main = [s for s in status["streams"] if s["recorded"]]
        return len(main) == self.cameras.count and all(s["newest_committed"] for s in main)


class Ffmpeg(Recorder):
    name = "ffmpeg -c copy, a process per camera"

    def start(self):
        self.volume = self.dir / "volume"
        self.volume.mkdir(parents=True)
        for i, name in enumerate(self.cameras.names()):
            self.spawn(
                ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-rtsp_transport", self.args.transport]
                + ["-i", self.cameras.url_with_password(i), "-map", "0:v", "-c", "copy", "-f", "mp4"]
                + ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", self.volume / f"{name}.mp4"]
            )

    def ready(self):
        return len(self.files()) == self.cameras.count

    def traced(self):
        few = self.pids()[:4]
        return few, len(self.children) / len(few)


class Floor(Recorder):
    name = "floor: retina receives and discards"

    def start(self):
        self.dir.mkdir(parents=True)
        urls = [self.cameras.url(i) for i in range(self.cameras.count)]
        self.since = time.monotonic()
        self.spawn([self.built / "examples/floor", *self.cameras.user, self.args.transport, *urls])

    def ready(self):
        counts = re.findall(r"^(\d+) pictures", (self.dir / "log").read_text(), re.M)
        # The second line comes after 10 s; by then pictures of all cameras have come for some seconds.
        return len(counts) > 1 and int(counts[1]) > self.cameras.count * 20

    def running(self):
        return super().running() and "is lost" not in (self.dir / "log").read_text()


class Moonfire(Recorder):
    name = "Moonfire NVR"

    def start(self):
        self.volume = self.dir / "volume"
        self.volume.mkdir(parents=True)
        self.db = self.dir / "db"
        program = os.environ["MOONFIRE"]
        subprocess.run([program, "init", "--db-dir", self.db], check=True, capture_output=True)
        user, password = self.cameras.user
        new_id = lambda: uuid.uuid4().bytes
        with sqlite3.connect(self.db / "db") as db:
            folder = db.execute(
                "insert into sample_file_dir (uuid, config) values (?, ?)", (new_id(), json.dumps({"path": str(self.volume)}))
            ).lastrowid
            for i, name in enumerate(self.cameras.names()):
                config = json.dumps({"username": user, "password": password})
                row = (new_id(), name, config)
                camera = db.execute("insert into camera (uuid, short_name, config) values (?, ?, ?)", row).lastrowid
                stream = {
                    "mode": "record",
                    "url": self.cameras.url(i),
                    "rtspTransport": self.args.transport,
                    "retainBytes": 1 << 40,
                    "flushIfSec": 0,
                }
                db.execute(
                    "insert into stream (camera_id, sample_file_dir_id, type, config, cum_recordings, cum_media_duration_90k, cum_runs)"
                    " values (?, ?, 'main', ?, 0, 0, 0)",
                    (camera, folder, json.dumps(stream)),
                )
        db.close()
        (self.dir / "config.toml").write_text(f'dbDir = "{self.db}"\nuiDir = "{self.dir}"\n[[binds]]\nunix = "{self.dir}/sock"\n')
        self.spawn([program, "run", "--config", self.dir / "config.toml"])

    def files(self):
        return [p for p in self.volume.iterdir() if p.name != "meta" and p.stat().st_size]

    def ready(self):
        return len(self.files()) >= self.cameras.count

    def written(self):
        # Its files are bare samples; what it writes beside them is in its database.
        return 0, 0


def all_of(target, work, cameras, args):
    wanted = args.peers.split(",")
    kinds = [Custodian]
    kinds += [Floor] if "floor" in wanted else []
    kinds += [Ffmpeg] if "ffmpeg" in wanted else []
    kinds += [Moonfire] if "moonfire" in wanted and os.environ.get("MOONFIRE") else []
    return [kind(target, work, cameras, args) for kind in kinds]
