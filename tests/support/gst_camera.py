#!/usr/bin/python3
"""Simulated cameras on GStreamer's RTSP server: an implementation that nobody of this project wrote.

    gst_camera.py --clip A.mp4 [--clip B.mp4 ...] [--cameras 64] [--port 0] [--user NAME:PASSWORD] [--share GROUPS]

Camera i (path /camNN) plays clip i modulo the number of clips, over UDP or TCP as the client wishes. With --user the
server at `port` asks for Digest and another one at `basic_port` for Basic; without, nobody asks. One line of JSON on
standard output says the ports once they are open. The process ends when its standard input is closed, so that a killed
test leaves no server behind.

Exact counts are what this is for. Without --share every PLAY has a pipeline of its own: the first picture waits in it,
the next ones are pushed only after PLAY, so all pictures that a session's `sent` counts went out to its client.
RTP timestamps are presentation times: a clip with B-frames goes out in decode order with times that go back and forth.
With --share the cameras of a clip and group share one pipeline, as cheap as it gets, without exact counts.

Control (a line each, answered by a line of JSON), on 127.0.0.1:`control_port`:
    sessions             every session since the start: camera, clip, playing, ended, sent, audio_sent, lost, lost_packets, leading,
                         and the wall times of PLAY and of the last picture
    freeze CAM|all       send nothing more, sessions stay up        thaw CAM|all    go on
    lose CAM N           drop the packets of the next N pictures that are no key frames, after they got their numbers
    stop CAM             close its sessions, answer 404             start CAM       undo
    drop CAM             close its sessions                         cpu             CPU seconds used so far
"""
import argparse
import heapq
import json
import os
import resource
import socketserver
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402,F401

SECOND = Gst.SECOND


class Unit:
    """An access unit with its times in nanoseconds from the start of the clip."""

    __slots__ = ("data", "pts", "dts", "key")

    def __init__(self, data, pts, dts, key):
        self.data, self.pts, self.dts, self.key = data, pts, dts, key


class Clip:
    """A file's access units, video and perhaps audio, as a demuxer and a parser of GStreamer give them."""

    def __init__(self, path):
        self.name = os.path.basename(path)
        self.codec = "h265" if "265" in self.name else "h264"
        self.video, self.caps = self._read(
            path,
            f"d.video_0 ! {self.codec}parse config-interval=-1 "
            f"! video/x-{self.codec},stream-format=byte-stream,alignment=au",
        )
        self.audio, self.audio_caps, self.audio_pay = [], None, None
        if "aac" in self.name:
            self.audio, self.audio_caps = self._read(path, "d.audio_0 ! aacparse ! audio/mpeg,stream-format=raw")
            self.audio_pay = "rtpmp4gpay"
        elif "alaw" in self.name:
            chunks, self.audio_caps = self._read(path, "d.audio_0 ! audio/x-alaw")
            data = b"".join(u.data for u in chunks)
            step = 160  # 20 ms at 8 kHz
            self.audio = [
                Unit(data[i : i + step], i * SECOND // 8000, i * SECOND // 8000, True)
                for i in range(0, len(data) - step + 1, step)
            ]
            self.audio_pay = "rtppcmapay"
        first, last = self.video[0], self.video[-1]
        self.frame_ns = (last.dts - first.dts) // (len(self.video) - 1)
        self.length_ns = self.frame_ns * len(self.video)
        if self.audio:
            self.audio_ns = (self.audio[-1].pts - self.audio[0].pts) // (len(self.audio) - 1)
        # x265 codes pictures after an open-GOP key frame that refer to pictures before it (NAL types RASL_N, RASL_R):
        # whoever joins there cannot decode them. Counted per key frame.
        self.leading = {}
        if self.codec == "h265":
            key = None
            for i, unit in enumerate(self.video):
                if unit.key:
                    key = i
                    self.leading[key] = 0
                elif any(t in (8, 9) for t in nal_types_h265(unit.data)):
                    self.leading[key] += 1

    @staticmethod
    def _read(path, branch):
        pipeline = Gst.parse_launch(f"filesrc location={path} ! qtdemux name=d {branch} ! appsink name=s sync=false max-buffers=0")
        sink = pipeline.get_by_name("s")
        pipeline.set_state(Gst.State.PLAYING)
        units, caps = [], None
        while (sample := sink.emit("pull-sample")) is not None:
            caps = caps or sample.get_caps().to_string()
            b = sample.get_buffer()
            dts = b.dts if b.dts != Gst.CLOCK_TIME_NONE else b.pts
            units.append(Unit(b.extract_dup(0, b.get_size()), b.pts, dts, not b.has_flags(Gst.BufferFlags.DELTA_UNIT)))
        pipeline.set_state(Gst.State.NULL)
        base = units[0].dts
        for u in units:
            u.pts, u.dts = u.pts - base, u.dts - base
        return units, caps


def nal_types_h265(data):
    """NAL unit types of an Annex B access unit (ITU-T H.265 section 7.3.1.2)."""
    at = 0
    while (at := data.find(b"\0\0\1", at)) >= 0 and at + 3 < len(data):
        yield data[at + 3] >> 1 & 0x3F
        at += 3


class Session:
    """One pipeline: with --share of several clients, else of one client from its DESCRIBE to its end."""

    def __init__(self, camera, clip, first):
        self.camera, self.clip, self.first = camera, clip, first
        self.lock = threading.Lock()
        self.src = self.audio_src = self.pay = None
        self.sent = self.audio_sent = 0
        self.late_ns = 0  # what freezing has moved the times by
        self.started = None
        self.wall_played = self.wall_last = 0
        self.playing = self.ended = False
        self.to_lose = self.lost = self.lost_packets = 0
        self.losing = set()

    def attach(self, media):
        element = media.get_element()
        self.src = element.get_child_by_name("src")
        self.src.set_property("caps", Gst.Caps.from_string(self.clip.caps))
        self.src.connect("need-data", self.need_data)
        self.pay = element.get_child_by_name("pay0")
        if self.clip.audio:
            self.audio_src = element.get_child_by_name("asrc")
            self.audio_src.set_property("caps", Gst.Caps.from_string(self.clip.audio_caps))
            self.audio_src.connect("need-data", self.need_data)
        media.connect("new-state", self.new_state)
        media.connect("unprepared", self.unprepared)

    def need_data(self, src, _length):
        """The first unit of each track, from which the server makes its SDP, waits in the pipeline for PLAY."""
        with self.lock:
            if src is self.src and self.sent == 0:
                self.push_video()
            elif src is self.audio_src and self.audio_sent == 0:
                self.push_audio()

    def new_state(self, _media, state):
        with self.lock:
            if state == Gst.State.PLAYING and not self.playing:
                self.playing, self.started = True, time.monotonic()
                self.wall_played = self.wall_last = time.time_ns()
                pacer.add(self)
            elif state != Gst.State.PLAYING:
                self.playing = False

    def unprepared(self, _media):
        with self.lock:
            self.playing, self.ended = False, True
            self.src = self.audio_src = self.pay = None

    def leading(self):
        """Pictures at the start of the session that nobody can decode."""
        return self.clip.leading.get(self.first % len(self.clip.video), 0)

    def due(self):
        """When the next picture goes out, on the monotonic clock, seconds."""
        return self.started + (self.sent * self.clip.frame_ns + self.late_ns) / SECOND

    def tick(self, frozen):
        with self.lock:
            if not self.playing:
                return False
            if frozen:
                self.late_ns += self.clip.frame_ns
                return True
            self.push_video()
            self.wall_last = time.time_ns()
            while self.audio_src and self.audio_sent * self.clip.audio_ns < self.sent * self.clip.frame_ns:
                self.push_audio()
            return True

    def push_video(self):
        at = self.sent + self.first
        round_, i = divmod(at, len(self.clip.video))
        unit = self.clip.video[i]
        move = round_ * self.clip.length_ns - self.first * self.clip.frame_ns + self.late_ns
        pts = unit.pts + move
        if self.to_lose and not unit.key and self.sent:
            self.to_lose -= 1
            self.lost += 1
            self.losing.add(pts)
        if self.push(self.src, unit, pts, unit.dts + move, self.clip.frame_ns):
            self.sent += 1

    def push_audio(self):
        unit = self.clip.audio[self.audio_sent % len(self.clip.audio)]
        pts = self.audio_sent * self.clip.audio_ns + self.late_ns
        if self.push(self.audio_src, unit, pts, pts, self.clip.audio_ns):
            self.audio_sent += 1

    @staticmethod
    def push(src, unit, pts, dts, duration):
        b = Gst.Buffer.new_wrapped(unit.data)
        b.pts, b.dts, b.duration = pts, dts, duration
        if not unit.key:
            b.set_flags(Gst.BufferFlags.DELTA_UNIT)
        return src.emit("push-buffer", b) == Gst.FlowReturn.OK

    def lose(self, pictures):
        with self.lock:
            if self.pay is None:
                return
            if not self.to_lose:
                kinds = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
                self.pay.get_static_pad("src").add_probe(kinds, self.probe)
            self.to_lose += pictures

    def probe(self, _pad, info):
        """Drops whole pictures after the payloader has numbered their packets: to a client, packet loss."""
        if info.type & Gst.PadProbeType.BUFFER_LIST:
            packets = info.get_buffer_list()
            pts, count = packets.get(0).pts, packets.length()
        else:
            pts, count = info.get_buffer().pts, 1
        if pts in self.losing:
            self.lost_packets += count
            return Gst.PadProbeReturn.DROP
        return Gst.PadProbeReturn.OK

    def report(self):
        with self.lock:
            return {
                "camera": self.camera,
                "clip": self.clip.name,
                "playing": self.playing,
                "ended": self.ended,
                "sent": self.sent,
                "audio_sent": self.audio_sent,
                "lost": self.lost,
                "lost_packets": self.lost_packets,
                "leading": self.leading(),
                "played_ns": self.wall_played,
                "last_ns": self.wall_last,
            }


class Pacer(threading.Thread):
    """Pushes every playing session's pictures when they are due."""

    def __init__(self):
        super().__init__(daemon=True)
        self.heap, self.wake, self.count = [], threading.Condition(), 0
        self.frozen = set()

    def add(self, session):
        with self.wake:
            self.count += 1
            heapq.heappush(self.heap, (session.due(), self.count, session))
            self.wake.notify()

    def run(self):
        while True:
            with self.wake:
                while not self.heap:
                    self.wake.wait()
                wait = self.heap[0][0] - time.monotonic()
                if wait > 0.001:
                    self.wake.wait(wait)
                    continue
                _, _, session = heapq.heappop(self.heap)
            if session.tick(session.camera in self.frozen or "all" in self.frozen):
                self.add(session)


class Factory(GstRtspServer.RTSPMediaFactory):
    """Makes a camera's pipelines."""

    def __init__(self, camera, clip, first, shared):
        super().__init__()
        self.camera, self.clip, self.first = camera, clip, first
        self.set_shared(shared)
        self.set_latency(0)
        source = "is-live=true format=time max-bytes=8000000 block=false"
        audio = f"appsrc name=asrc {source} ! {clip.audio_pay} name=pay1 pt=97 " if clip.audio else ""
        self.set_launch(
            f"( appsrc name=src {source} ! rtp{clip.codec}pay name=pay0 pt=96 mtu=1400 config-interval=-1 {audio})"
        )
        self.connect("media-configure", self.configure)

    def configure(self, _factory, media):
        session = Session(self.camera, self.clip, self.first)
        session.attach(media)
        with cameras.lock:
            cameras.sessions.append(session)


class Cameras:
    """The server or servers, their mount points, and all sessions so far."""

    def __init__(self, args):
        self.args, self.lock, self.sessions, self.clients = args, threading.Lock(), [], {}
        self.clips = [Clip(path) for path in args.clip]
        self.names = [f"cam{i:02d}" for i in range(args.cameras)]
        self.factories = {}
        self.mounts = GstRtspServer.RTSPMountPoints.new()
        for name in self.names:
            self.mount(name)
        methods = GstRtsp.RTSPAuthMethod
        self.servers = [self.serve(args.port, methods.DIGEST if args.user else None)]
        if args.user:
            self.servers.append(self.serve(args.port + 1 if args.port else 0, methods.BASIC))

    def serve(self, port, method):
        server = GstRtspServer.RTSPServer()
        server.set_address("127.0.0.1")
        server.set_service(str(port))
        server.set_backlog(256)
        server.set_mount_points(self.mounts)
        if method is not None:
            user, password = self.args.user.split(":", 1)
            token = GstRtspServer.RTSPToken.new()
            token.set_string("media.factory.role", "viewer")
            auth = GstRtspServer.RTSPAuth.new()
            auth.set_supported_methods(method)
            if method == GstRtsp.RTSPAuthMethod.DIGEST:
                auth.add_digest(user, password, token)
            else:
                auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
            server.set_auth(auth)
        server.connect("client-connected", self.connected)
        if not server.attach(None):
            sys.exit(f"cannot listen on 127.0.0.1:{port}")
        return server

    def mount(self, name):
        i = self.names.index(name)
        clip = self.clips[i % len(self.clips)]
        group = i // len(self.clips) % self.args.share if self.args.share else i
        key = (clip.name, group)
        if key not in self.factories:
            keys = [n for n, u in enumerate(clip.video) if u.key]
            first = keys[group % len(keys)] if self.args.share or self.args.join else 0
            factory = Factory(name, clip, first, bool(self.args.share))
            if self.args.user:
                permissions = GstRtspServer.RTSPPermissions.new()
                permissions.add_role("viewer")
                for what in ("access", "construct"):
                    permissions.add_permission_for_role("viewer", f"media.factory.{what}", True)
                factory.set_permissions(permissions)
            self.factories[key] = factory
        self.mounts.add_factory("/" + name, self.factories[key])

    def connected(self, _server, client):
        self.clients[id(client)] = [client, None]
        client.connect("play-request", self.played)
        client.connect("closed", lambda c: self.clients.pop(id(c), None))

    def played(self, client, context):
        self.clients[id(client)] = [client, context.uri.abspath.strip("/").split("/")[0]]

    def close_sessions(self, name):
        for client, camera in list(self.clients.values()):
            if camera == name:
                client.close()

    def command(self, words):
        """Carries out a control line on the main loop's thread; returns what to answer."""
        verb, *rest = words
        known = self.names + ["all"]
        if verb == "sessions":
            with self.lock:
                return [s.report() for s in self.sessions]
        if verb == "cpu":
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {"cpu": used.ru_utime + used.ru_stime}
        if not rest or rest[0] not in known:
            return {"error": f"no such command: {' '.join(words)}"}
        name = rest[0]
        if verb == "freeze":
            pacer.frozen.add(name)
        elif verb == "thaw":
            pacer.frozen.discard(name)
        elif verb == "lose":
            with self.lock:
                for s in self.sessions:
                    if s.camera == name and s.playing:
                        s.lose(int(rest[1]))
        elif verb == "drop":
            self.close_sessions(name)
        elif verb == "stop":
            self.mounts.remove_factory("/" + name)
            self.close_sessions(name)
        elif verb == "start":
            self.mount(name)
        else:
            return {"error": f"no such command: {' '.join(words)}"}
        return {"ok": True}


class Control(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            words = line.decode().split()
            if not words:
                continue
            answer, done = [], threading.Event()

            def run():
                try:
                    answer.append(cameras.command(words))
                except Exception as e:  # whatever it is, the test that asked must hear of it
                    answer.append({"error": repr(e)})
                done.set()
                return False

            GLib.idle_add(run)
            done.wait()
            self.wfile.write(json.dumps(answer[0]).encode() + b"\n")


class ControlServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def end_with_stdin(loop):
    while os.read(0, 4096):
        pass
    loop.quit()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--clip", action="append", required=True)
parser.add_argument("--cameras", type=int, default=64)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--control-port", type=int, default=0)
parser.add_argument("--user", help="NAME:PASSWORD")
parser.add_argument("--share", type=int, default=0, help="groups of cameras per clip that share a pipeline; 0: none do")
parser.add_argument("--join", action="store_true", help="camera i begins at its clip's i-th key frame, not at the first")
args = parser.parse_args()

Gst.init(None)
pacer = Pacer()
cameras = Cameras(args)
pacer.start()
control = ControlServer(("127.0.0.1", args.control_port), Control)
threading.Thread(target=control.serve_forever, daemon=True).start()
loop = GLib.MainLoop()
threading.Thread(target=end_with_stdin, args=(loop,), daemon=True).start()
ports = {"port": cameras.servers[0].get_bound_port(), "control_port": control.server_address[1], "pid": os.getpid()}
if args.user:
    ports["basic_port"] = cameras.servers[1].get_bound_port()
print(json.dumps(ports), flush=True)
loop.run()
# Without this, threads of the server that still stream crash the interpreter's tear-down.
os._exit(0)
