//! Every reader says the same of our files as of the clips that they are made of.

use std::path::{Path, PathBuf};

use custodian::{
    store::format::{CloseBuilder, Verify, scan},
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
    agrees(&Spec { video: Codec::H264, audio: Some(Codec::Aac), negative: false });
}

#[test]
fn h264_with_mu_law() {
    agrees(&Spec { video: Codec::H264, audio: Some(Codec::Pcmu), negative: false });
}

#[test]
fn h265_with_a_law() {
    agrees(&Spec { video: Codec::H265, audio: Some(Codec::Pcma), negative: false });
}
