//! Clips, judged by ffmpeg.

use std::{fs::File, path::Path, process::Command};

use custodian::{
    retrieve::{RetrieveError, clip},
    types::{Cause, CauseKind, GapBefore, Span, StreamKey},
};

use super::{get, one_run, router, span, with_sound};
use crate::footage::{Archive, EIGHT, Media, SECOND, run};

fn key() -> StreamKey {
    run(1, "gate-1", &Media::synthetic(1, 1, 1), EIGHT, None).stream
}

fn seconds(from: i64, to: i64) -> Span {
    Span { start: EIGHT.offset(from * SECOND), end: EIGHT.offset(to * SECOND) }
}

/// Makes the clip's files; answers where.
fn export(archive: &Archive, span: Span) -> Vec<std::path::PathBuf> {
    let library = archive.library();
    let clip = clip::plan(&library, &key(), span).expect("a plan");
    assert!(clip.unreadable.is_empty());
    let files = clip.files.iter().enumerate();
    files
        .map(|(n, file)| {
            let path = archive.dir.path().join(format!("clip-{n}.mp4"));
            let out = File::create(&path).expect("made");
            let mut said = 0;
            file.write(&library, &out, &path, |done| said = done).expect("written");
            assert_eq!((out.metadata().expect("there").len(), said), (file.bytes, file.bytes));
            path
        })
        .collect()
}

/// Packets of a stream as ffprobe sees them: decode times and durations in ticks.
fn packets(path: &Path, stream: &str) -> Vec<(i64, i64, i64)> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts,dts,duration", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let number = |s: &str| match s {
        // What it says of the first frame of sound.
        "N/A" => 0,
        n => n.parse().expect("a number"),
    };
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(|l| {
            let f: Vec<&str> = l.split(',').collect();
            (number(f[0]), number(f[1]), number(f[2]))
        })
        .collect()
}

fn duration(path: &Path) -> f64 {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    String::from_utf8_lossy(&out.stdout).trim().parse().expect("a duration")
}

/// Decodes everything; a word from the decoder is a failure.
fn decodes(path: &Path) {
    let out = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning", "-xerror", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Decode times go up, by what a picture lasts at least. (What a frame of AAC lasts ffprobe takes from the codec, not
/// from the file.)
fn ascending(packets: &[(i64, i64, i64)], lasts: i64) {
    for pair in packets.windows(2) {
        assert!(pair[0].1 + lasts <= pair[1].1, "{pair:?}: sample times overlap");
    }
}

#[test]
fn a_span_in_the_middle_of_a_run_begins_at_zero() {
    let (archive, media) = one_run();
    let files = export(&archive, seconds(7, 15));
    let [path] = files.as_slice() else { panic!("{files:?}") };
    let (video, sound) = (packets(path, "v"), packets(path, "a"));
    // From the key frame at 6 s to the end of the fragment in which second 15 lies.
    assert_eq!(video[0].1, 0);
    assert_eq!(video.len(), 10 * 25, "6 s to 16 s");
    ascending(&video, 3600);
    ascending(&sound, 1);
    // Sound and pictures keep their distance: both tracks moved by the same time.
    let source_video = media.samples[0][150].dts;
    let moved = i64::try_from(source_video).expect("fits") - video[0].1;
    let first_sound = media.samples[1].iter().find(|s| s.dts * 90_000 / 16_000 >= source_video).expect("sound");
    let error =
        (i64::try_from(first_sound.dts).expect("fits") * 90_000 / 16_000 - moved) - sound[0].1 * 90_000 / 16_000;
    assert!(error.abs() <= 90_000 / 16_000 + 1, "{error} ticks");
    assert!((duration(path) - 10.0).abs() < 0.1, "{}", duration(path));
    decodes(path);
}

#[test]
fn all_of_it_is_all_of_it() {
    let (archive, media) = one_run();
    let files = export(&archive, seconds(-100, 100));
    let [path] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(packets(path, "v").len(), media.frames());
    assert_eq!(packets(path, "a").len(), media.samples[1].len());
    decodes(path);
}

#[test]
fn runs_with_the_same_parameters_are_joined() {
    let media = with_sound(10, 0);
    let mut archive = Archive::new();
    archive.record(run(1, "gate-1", &media, EIGHT, None), &media, 3);
    let before = |at| Some(GapBefore { since: EIGHT.offset(at), cause: Cause::new(CauseKind::Timeout, "") });
    archive.record(run(2, "gate-1", &media, EIGHT.offset(100 * SECOND), before(10 * SECOND)), &media, 3);
    archive.record(run(3, "gate-1", &media, EIGHT.offset(110 * SECOND), None), &media, 3);
    let files = export(&archive, seconds(0, 200));
    let [path] = files.as_slice() else { panic!("{files:?}") };
    let (video, sound) = (packets(path, "v"), packets(path, "a"));
    assert_eq!((video.len(), sound.len()), (3 * media.frames(), 3 * media.samples[1].len()));
    ascending(&video, 3600);
    ascending(&sound, 1);
    // Joined without a hole: a frame of sound that outlasts the pictures is all that may lie between.
    assert!((duration(path) - 30.0).abs() < 0.3, "{}", duration(path));
    decodes(path);
}

#[test]
fn other_parameters_begin_another_file() {
    let media = with_sound(4, 0);
    let small = Media::encode(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25:duration=4",
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
    ]);
    let mut archive = Archive::new();
    archive.record(run(1, "gate-1", &media, EIGHT, None), &media, 3);
    archive.record(run(2, "gate-1", &small, EIGHT.offset(4 * SECOND), None), &small, 3);
    archive.record(run(3, "gate-1", &small, EIGHT.offset(8 * SECOND), None), &small, 3);
    let files = export(&archive, seconds(0, 100));
    assert_eq!(files.iter().map(|f| packets(f, "v").len()).collect::<Vec<_>>(), [100, 200]);
    files.iter().for_each(|f| decodes(f));
}

#[tokio::test]
async fn what_is_sent_is_what_is_written() {
    let (archive, _) = one_run();
    let written = std::fs::read(&export(&archive, seconds(3, 18))[0]).expect("a clip");
    let got = get(&router(archive.library()), &format!("/v1/clip/gate-1/main.mp4?{}", span(3, 18))).await;
    assert_eq!(got.status, 200);
    assert!(got.body == written, "{} and {} bytes", got.body.len(), written.len());
    assert_eq!(got.header("content-length"), Some(written.len().to_string().as_str()));
    assert_eq!(got.header("custodian-parts"), Some("1"));
    let name = got.header("content-disposition");
    assert_eq!(name, Some("attachment; filename=\"gate-1-main-20261122T080002Z.mp4\""));
}

#[test]
fn only_places_are_rewritten() {
    let (archive, _) = one_run();
    let rows = archive.library().ask(|i| i.segments(key().id, Span::all())).expect("rows");
    let source = std::fs::read(archive.root().join(&rows[0].path)).expect("a segment");
    let clip = std::fs::read(&export(&archive, seconds(0, 1))[0]).expect("a clip");
    // The first fragment lies at zero already: only its number may differ, and it is the first one here too.
    let prft = |bytes: &[u8]| bytes.windows(4).position(|w| w == b"prft").expect("a fragment") - 4;
    let (a, b) = (&source[prft(&source)..], &clip[prft(&clip)..]);
    let n = b.len();
    assert!(a[..n] == *b, "the fragment with its leaf and its wall time is the one that was recorded");
}

#[test]
fn a_damaged_fragment_is_no_clip() {
    let (archive, _) = one_run();
    let library = archive.library();
    let clip = clip::plan(&library, &key(), seconds(0, 20)).expect("a plan");
    let rows = library.ask(|i| i.segments(key().id, Span::all())).expect("rows");
    let path = archive.root().join(&rows[0].path);
    let mut bytes = std::fs::read(&path).expect("a segment");
    let at = bytes.windows(4).rposition(|w| w == b"moof").expect("a fragment");
    bytes[at] = b'x';
    std::fs::write(&path, bytes).expect("written");
    let out = archive.dir.path().join("clip.mp4");
    let made = clip.files[0].write(&library, &File::create(&out).expect("made"), &out, |_| ());
    assert!(matches!(made, Err(RetrieveError::Fragment { .. })), "{made:?}");
}
