//! What was stored, beside what was sent.

use std::time::Duration;

use custodian::types::wire;

use super::{
    cameras::{Cameras, Session},
    probe,
    recorder::{Recorder, Site},
    wait_for,
};

/// Ticks of a picture at 20 pictures/s in RTP's 90 kHz.
const PICTURE: i64 = 4500;

/// Stops the pictures, and waits until all that was sent has been received.
pub fn freeze(cameras: &mut Cameras, recorder: &Recorder) {
    cameras.ask("freeze all");
    let mut empty = 0;
    wait_for("the sockets to be read empty", Duration::from_secs(5), || {
        // Several times in a row: a picture may still be on its way through the server.
        empty = if probe::queued(recorder.pid()) == 0 { empty + 1 } else { 0 };
        (empty == 15).then_some(())
    });
}

/// Packets that the recorder says it lost, of one camera.
pub fn lost_packets(status: &wire::Status, camera: &str) -> u64 {
    status.streams.iter().filter(|s| s.camera.as_str() == camera).map(|s| s.lost_packets).sum()
}

/// Compares what is stored of a camera with what it sent in its only session.
pub fn compare(site: &Site, session: &Session, lost_packets: u64) {
    let runs = site.runs(&session.camera);
    assert_eq!(runs.len(), 1, "{}: an unbroken capture is one run: {runs:?}", session.camera);
    let [video, audio] = probe::packets(&runs[0]);
    let named = |what: &str| format!("{} ({}): {what}; {session:?}", session.camera, session.clip);

    let sent = session.sent - session.leading;
    let missing = sent.checked_sub(video.pts.len()).unwrap_or_else(|| panic!("{}", named("more stored than sent")));
    if lost_packets == session.lost_packets {
        assert_eq!(missing, session.lost, "{}", named("pictures sent and not stored"));
    } else {
        // The machine itself dropped packets of UDP; each hits one picture at most.
        let hit = usize::try_from(lost_packets).unwrap();
        assert!(lost_packets > session.lost_packets && missing <= hit, "{}: {missing}", named("loss is not counted"));
    }
    assert!(video.dts.windows(2).all(|w| w[0] < w[1]), "{}", named("decode times rise"));
    let mut shown = video.pts.clone();
    shown.sort_unstable();
    // Whoever stops in mid-order lacks pictures to be shown before the last ones.
    let steps: Vec<i64> = shown[..shown.len() - 4].windows(2).map(|w| w[1] - w[0]).collect();
    let uneven = steps.iter().filter(|s| (**s - PICTURE).abs() > 90).count();
    assert!(uneven <= missing, "{}: {steps:?}", named("a picture each 50 ms"));
    let reordered = session.clip.contains("bframes") || session.clip.contains("leading");
    assert_eq!(video.pts != shown, reordered, "{}", named("order of decoding and of showing"));

    // Sound is sent in step with pictures, the last packet of which may still have been held back.
    let sound = audio.pts.len();
    assert!(sound <= session.audio_sent && sound + 2 >= session.audio_sent, "{}: {sound}", named("sound"));
}
