//! Every reader says the same of our files as of the clips that they are made of.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
};

use custodian::{
    store::format::{CloseBuilder, Verify, init_segment, live_chunk, read, scan},
    types::{Codec, Fragment},
};

use super::clip::{Clip, Spec, clip, packets, tool, write};

/// ffmpeg's checksum of the decoded pictures or sounds; any error in decoding fails the test.
fn decoded(file: &Path, stream: &str) -> String {
    let map = format!("0:{stream}");
    let file = file.to_str().unwrap();
    tool(
        "ffmpeg",
        &[
            "-nostdin",
            "-v",
            "error",
            "-xerror",
            "-err_detect",
            "explode",
            "-ignore_editlist",
            "1",
            "-i",
            file,
            "-map",
            &map,
            "-fps_mode",
            "passthrough",
            "-f",
            "md5",
            "-",
        ],
    )
}

fn saved(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Compares what ffprobe lists of a file with the samples that were written into it.
fn lists(file: &Path, fragments: &[Fragment], track: usize) {
    let found = packets(file, ["v", "a"][track]);
    let written: Vec<_> = fragments.iter().flat_map(|f| &f.samples).filter(|s| s.track == track).collect();
    assert_eq!(found.len(), written.len(), "packets of track {track}");
    for (i, (p, s)) in found.iter().zip(&written).enumerate() {
        let dts = i64::try_from(s.dts).unwrap();
        let expected = (dts + i64::from(s.cts), dts, s.data.len(), s.key, track == 0);
        assert_eq!((p.pts, p.dts, p.size, p.key, p.video), expected, "packet {i} of track {track}");
    }
    let bytes = std::fs::read(file).unwrap();
    for (p, s) in found.iter().zip(&written) {
        assert_eq!(bytes[p.pos..p.pos + p.size], s.data, "bytes at {}", p.pos);
    }
}

fn agrees(spec: &Spec) -> Clip {
    let dir = tempfile::tempdir().unwrap();
    let c = clip(dir.path(), spec);
    assert!(c.fragments.iter().flat_map(|f| &f.samples).any(|s| s.cts != 0), "the clip has B-frames");
    let ours = saved(dir.path(), "ours.mp4", &write(&c.fragments, 0, true));
    for (track, stream) in ["v", "a"].into_iter().enumerate().take(c.run.tracks.len()) {
        lists(&ours, &c.fragments, track);
        assert_eq!(decoded(&ours, stream), decoded(&c.original, stream), "decoded track {track}");
    }
    let mpv = ["--no-config", "--vo=null", "--ao=null", "--untimed", "--really-quiet", "--msg-level=all=warn"];
    tool("mpv", &[&mpv[..], &[ours.to_str().unwrap()]].concat());

    // Torn in its last fragment, then recovered.
    let mut torn = write(&c.fragments, 0, false);
    torn.truncate(torn.len() - 3000);
    torn.resize(torn.len() + 1000, 0);
    let found = scan(&torn, torn.len() as u64, Verify::ALL).unwrap();
    assert_eq!(found.fragments.len(), c.fragments.len() - 1);
    torn.truncate(usize::try_from(found.valid_len).unwrap());
    torn.extend(CloseBuilder::from_file(&found).finish(true));
    let recovered = saved(dir.path(), "recovered.mp4", &torn);
    for (track, stream) in ["v", "a"].into_iter().enumerate().take(c.run.tracks.len()) {
        lists(&recovered, &c.fragments[..found.fragments.len()], track);
        decoded(&recovered, stream);
    }
    c
}

#[test]
fn h264_with_aac() {
    agrees(&Spec { video: Codec::H264, audio: Some(Codec::Aac) });
}

#[test]
fn h264_with_mu_law() {
    agrees(&Spec { video: Codec::H264, audio: Some(Codec::Pcmu) });
}

#[test]
fn h265_with_a_law() {
    agrees(&Spec { video: Codec::H265, audio: Some(Codec::Pcma) });
}

#[test]
fn presentation_before_decoding() {
    let dir = tempfile::tempdir().unwrap();
    let c = clip(dir.path(), &Spec { video: Codec::H264, audio: None });
    let mut fragments = c.fragments.clone();
    for s in fragments.iter_mut().flat_map(|f| &mut f.samples) {
        s.cts -= 9000;
    }
    assert!(fragments.iter().flat_map(|f| &f.samples).any(|s| s.cts < 0));
    let ours = saved(dir.path(), "ours.mp4", &write(&fragments, 0, true));
    let written = fragments.iter().flat_map(|f| &f.samples).map(|s| i64::try_from(s.dts).unwrap() + i64::from(s.cts));
    // ffmpeg 5 shows fragments with negative offsets later by the largest of them: the same for all.
    let later: Vec<i64> = packets(&ours, "v").iter().zip(written).map(|(p, pts)| p.pts - pts).collect();
    assert_eq!(later, vec![later[0]; 120]);
    assert_eq!(decoded(&ours, "v"), decoded(&c.original, "v"));
}

#[test]
fn a_run_goes_on_in_its_next_file() {
    let dir = tempfile::tempdir().unwrap();
    let c = clip(dir.path(), &Spec { video: Codec::H264, audio: Some(Codec::Aac) });
    let at = c.fragments.iter().skip(1).position(|f| f.samples[0].key).unwrap() + 1;
    let (first, second) = c.fragments.split_at(at);
    let first = write(first, 0, true);
    let next = saved(dir.path(), "second.mp4", &write(second, 1, true));
    lists(&next, second, 0);
    lists(&next, second, 1);
    decoded(&next, "v");

    // Initialisation and fragments of both files, joined as a playlist would.
    let next = std::fs::read(next).unwrap();
    let mut joined = init_segment(&c.run);
    for file in [first, next] {
        let found = read(&file, file.len() as u64).unwrap();
        assert_eq!(file[..joined.len().min(usize::try_from(found.init_len).unwrap())], init_segment(&c.run));
        for f in &found.fragments {
            joined.extend(&file[usize::try_from(f.offset).unwrap()..usize::try_from(f.end()).unwrap()]);
        }
    }
    let joined = saved(dir.path(), "joined.mp4", &joined);
    lists(&joined, &c.fragments, 0);
    assert_eq!(decoded(&joined, "v"), decoded(&c.original, "v"));
}

/// A row of chunks as a live view gets them.
fn chunks(c: &Clip) -> Vec<Vec<u8>> {
    let samples = c.fragments.iter().flat_map(|f| &f.samples);
    (1..).zip(samples).map(|(n, s)| live_chunk(s, n)).collect()
}

#[test]
fn live_chunks_are_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let c = clip(dir.path(), &Spec { video: Codec::H264, audio: Some(Codec::Aac) });
    let stream = [init_segment(&c.run), chunks(&c).concat()].concat();
    let stream = saved(dir.path(), "live.mp4", &stream);
    lists(&stream, &c.fragments, 0);
    lists(&stream, &c.fragments, 1);
    assert_eq!(decoded(&stream, "v"), decoded(&c.original, "v"));
}

/// Appends pieces to a `SourceBuffer` of Chromium; answers the seconds that it then has, and the size of the picture that it
/// shows after seeking to second 5.
fn chromium(dir: &Path, mime: &str, pieces: &[Vec<u8>]) -> String {
    let list = pieces.iter().map(|p| format!("\"{}\"", base64(p))).collect::<Vec<_>>().join(",");
    let page = format!(
        r#"<meta charset="utf-8"><body><script>
        const say = text => fetch("/result/" + encodeURIComponent(text));
        const pieces = [{list}].map(t => Uint8Array.from(atob(t), c => c.charCodeAt(0)));
        const video = document.createElement("video"), source = new MediaSource();
        video.muted = true;
        video.onerror = () => say("error " + video.error.message);
        source.onsourceopen = () => {{
          const buffer = source.addSourceBuffer('{mime}');
          buffer.onupdateend = () => {{
            const next = pieces.shift();
            if (next) return buffer.appendBuffer(next);
            const ranges = Array.from({{length: video.buffered.length}}, (_, i) =>
              video.buffered.start(i).toFixed(1) + "-" + video.buffered.end(i).toFixed(1));
            video.onseeked = () => say(ranges + "_" + video.videoWidth + "x" + video.videoHeight);
            video.currentTime = 5;
          }};
          buffer.appendBuffer(pieces.shift());
        }};
        video.src = URL.createObjectURL(source);
        </script>"#
    );
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    let (result, results) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in server.incoming().map_while(Result::ok) {
            let mut line = String::new();
            BufReader::new(&connection).read_line(&mut line).ok();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let body = if path == "/" { page.as_str() } else { "" };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length:";
            write!(&connection, "{head} {}\r\n\r\n{body}", body.len()).ok();
            if let Some(text) = path.strip_prefix("/result/") {
                result.send(text.to_owned()).ok();
                return;
            }
        }
    });
    let mut browser = std::process::Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args([&format!("--user-data-dir={}", dir.join("profile").display()), &url])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("chromium is needed");
    let answer = results.recv_timeout(std::time::Duration::from_mins(1));
    browser.kill().unwrap();
    browser.wait().unwrap();
    answer.expect("Chromium answers within a minute")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .map(|c| {
            let n = c.iter().fold(0, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - c.len()));
            (0..4)
                .map(|i| if i > c.len() { '=' } else { char::from(LETTERS[(n >> (18 - 6 * i) & 63) as usize]) })
                .collect::<String>()
        })
        .collect()
}

#[test]
fn chromium_plays_files_and_live_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let c = clip(dir.path(), &Spec { video: Codec::H264, audio: Some(Codec::Aac) });
    let file = chromium(dir.path(), &c.run.mime(), &[write(&c.fragments, 0, true)]);
    assert_eq!(file, "0.0-6.1_320x240", "sound from 0, pictures from 0.1 s to 6.1 s for the B-frames' sake");
    let mut live = vec![init_segment(&c.run)];
    live.extend(chunks(&c));
    // Here each chunk is on its own, and there is no picture before 0.1 s.
    assert_eq!(chromium(dir.path(), &c.run.mime(), &live), "0.1-6.1_320x240");
}
