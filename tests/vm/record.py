start_all()
a_camera.wait_for_unit("camera.service")
a_camera.wait_for_open_port(8554)
prepare(recorder)

with subtest("a camera is recorded"):
    records(recorder)
    for unit in ["record", "web", "health"]:
        recorder.wait_for_unit(f"custodian-{unit}.service")

with subtest("users are those of sysusers.d"):
    assert recorder.succeed("id -u custodian-record").strip() == "551"

with subtest("journalctl explains events"):
    recorder.succeed("journalctl -x -u custodian-record.service | grep -q 'custodian'")

with subtest("the power fails while it records"):
    frames = frames_of(recorder)
    recorder.crash()
    recorder.start()
    recorder.wait_for_unit("multi-user.target")
    # What was there is there, and it goes on by itself.
    assert frames_of(recorder) > 0, frames
    records(recorder)

with subtest("what it wrote can be read by others, and nothing else was changed"):
    gaps = ask(recorder, "gaps")
    assert len(gaps) >= 1, gaps
    recorder.succeed("custodian ledger verify")
    segment = recorder.succeed("find /var/lib/custodian/volumes/a1/footage -name '*.mp4' | sort | head -n 1").strip()
    recorder.succeed(f"ffprobe -v error -show_entries stream=codec_name -of csv=p=0 {segment} | grep -qx h264")
