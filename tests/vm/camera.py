"""A camera for the VM tests: GStreamer's RTSP server with a test picture, H.264, at rtsp://HOST:8554/gate."""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1"
    " ! openh264enc gop-size=15 bitrate=300000 ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("0.0.0.0")
server.set_service("8554")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(PICTURE)
factory.set_shared(True)
server.get_mount_points().add_factory("/gate", factory)
if not server.attach(None):
    raise SystemExit("port 8554 is taken")
print("ready", flush=True)
GLib.MainLoop().run()
