//! Retention with the real recorder: on a small volume that fills, in doubt, and killed in the middle.

mod doubts;
mod killed;
mod room;
mod substream;

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use custodian::{
    ledger::{self, Entry, View, What},
    store::index::{Reader, SegmentState},
    sys::{Clock as _, RealClock, RealFiles},
    types::{StreamId, wire},
};

use crate::{
    footage::{Archive, Media, fragments, run},
    support::{
        own::OwnCameras,
        probe::files,
        recorder::{Recorder, Site},
    },
};

const MINUTE: i64 = 60 * 1_000_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long something may take that comes with the next look of the recorder.
const SOON: Duration = Duration::from_mins(1);

/// A site of one volume and two cameras: the first one of high priority, the second of low.
fn site(cameras: &OwnCameras, volume: &str, retention: &str, prepare: impl FnOnce(&Site)) -> Site {
    cameras.site_with(|site| {
        prepare(site);
        let mut text = format!(
            "[site]\nname = \"Trường\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n\n[retention]\n{retention}\n\n\
             [area.yard]\nname = \"Sân\"\nkind = \"public\"\n\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"{}\"\n{volume}\n",
            site.path("v1").display()
        );
        for ((name, url), priority) in cameras.names.iter().zip(cameras.urls()).zip([9, 1]) {
            write!(
                text,
                "\n[camera.{name}]\nname = \"{name}\"\narea = \"yard\"\nmain = \"{url}\"\ncredentials = \"viewer\"\n\
                 bitrate = \"2 Mbit/s\"\npriority = {priority}\n"
            )
            .unwrap();
        }
        fs::write(site.path("site.toml"), text).unwrap();
        // Of a recorder that ran until now, without anything in doubt.
        let now = RealClock.wall();
        let noted = serde_json::json!({ "format": 1, "min_reader": 1, "clock": { "seen": now, "aged": now } });
        fs::write(site.path("state/retention.json"), noted.to_string()).unwrap();
    })
}

/// Footage of a camera on a volume that ended so long ago, in one segment of some megabytes. Returns its file.
fn old(site: &Site, camera: &str, ago: i64, megabytes: usize) -> PathBuf {
    old_of(site, camera, ago, megabytes, None)
}

/// The same of a recording of one's own. Each `ago` is a run of its own.
#[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
fn old_of(site: &Site, camera: &str, ago: i64, megabytes: usize, stream: Option<StreamId>) -> PathBuf {
    let media = Media::synthetic(10, 10, megabytes * 100_000);
    let (number, start) = (u128::from(ago.unsigned_abs()), RealClock.wall().offset(-ago - 400_000_000));
    let mut run = run(number << 8 | camera.len() as u128, camera, &media, start, None);
    // The recording that the camera has already, if it has one.
    let known = fs::read(site.path("v1/custodian-streams.json")).unwrap_or_else(|_| b"{\"streams\":[]}".to_vec());
    let known: serde_json::Value = serde_json::from_slice(&known).unwrap();
    let known = known["streams"].as_array().unwrap().iter().find(|s| s["camera"] == camera);
    let known = known.map(|known| known["id"].as_str().unwrap().parse().unwrap());
    run.stream.id = stream.or(known).unwrap_or(run.stream.id);
    let run = Arc::new(run);
    let all = fragments(&run, &media, 10);
    let (bytes, row) = Archive::new().file(&run, &all, SegmentState::Closed);
    let path = site.path("v1").join(row.path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn there(files: &[PathBuf]) -> usize {
    files.iter().filter(|f| f.exists()).count()
}

fn retention(recorder: &Recorder) -> Option<wire::Retention> {
    recorder.try_get("status.sock", "/v1/retention")
}

/// What the ledger says, so far.
fn entries(site: &Site) -> Vec<Entry> {
    let public = ledger::public(&site.path("state/ledger"));
    let verifier = ledger::verifier(&RealFiles, &public).unwrap();
    let view = View::open(Arc::new(RealFiles), public, &verifier).unwrap();
    view.records(0..view.size()).map(|record| record.unwrap().entry().unwrap()).collect()
}

/// How many segments the ledger says have gone, by reason.
fn retired(site: &Site, why: ledger::Reason) -> usize {
    let of = |what: What| match what {
        What::Retired { reason, segments, .. } if reason == why => segments.len(),
        _ => 0,
    };
    entries(site).into_iter().map(|e| of(e.what)).sum()
}

/// Posts to `control.sock`: status and body.
fn post(site: &Site, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(site.path("state/run/control.sock")).unwrap();
    let head = format!("POST {path} HTTP/1.0\r\nHost: r\r\nContent-Type: application/json\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Every file of footage on the volume is in the index, with its length, and nothing else is.
fn assert_index_equals_volume(site: &Site) {
    let index = Reader::open(&site.path("state/index.db")).unwrap();
    let rows = index.volume_segments(&"v1".parse().unwrap()).unwrap();
    let mut listed: Vec<(PathBuf, u64)> = rows.into_iter().map(|r| (site.path("v1").join(r.path), r.bytes)).collect();
    let sized = |path: PathBuf| (path.clone(), fs::metadata(path).unwrap().len());
    let mut found: Vec<(PathBuf, u64)> = files(&site.path("v1")).into_iter().map(sized).collect();
    listed.sort();
    found.sort();
    assert_eq!(listed, found);
}
