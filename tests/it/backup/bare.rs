//! A bare machine: no state, no site, no index; only the medium and the school's key.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use custodian::{
    backup::crypt::digest,
    store::index::{Reader, SegmentRow},
    types::{Span, merkle::Hash},
};

use crate::{
    footage::Media,
    support::{
        probe,
        school::{School, custodian, files, text},
    },
};

/// Real pictures, four files of them.
fn playable() -> Media {
    let source = "testsrc2=size=320x240:rate=25:duration=20";
    Media::encode(&[
        "-f",
        "lavfi",
        "-i",
        source,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
        "-pix_fmt",
        "yuv420p",
    ])
}

fn digests(dir: &Path) -> BTreeMap<PathBuf, Hash> {
    let all = files(dir);
    all.iter().map(|f| (f.strip_prefix(dir).unwrap().to_owned(), digest(&fs::read(f).unwrap()))).collect()
}

fn rows(index: &Path, camera: &str) -> Vec<SegmentRow> {
    let index = Reader::open(index).unwrap();
    let stream = index.streams().unwrap().into_iter().find(|s| s.key.camera.as_str() == camera).unwrap();
    index.segments(stream.key.id, Span::all()).unwrap()
}

#[test]
fn footage_comes_back_playable_and_indexed() {
    let school = School::with(&playable(), 3);
    school.ok(&["init", "--same-disk"]);
    let made = school.run();
    let before = digests(&school.archive.root().join("footage/gate-1"));
    assert_eq!(before.len(), 4);

    let bare = tempfile::tempdir().unwrap();
    let into = bare.path().join("a1");
    let restore = |args: &[&str]| {
        let mut command = custodian(bare.path());
        command.args(["backup", "restore", "latest", "--lang", "en", "--at"]).arg(school.path("nas"));
        command.arg("--identity").arg(school.path("key")).arg("--into").arg(&into).args(args);
        command.output().unwrap()
    };
    let out = restore(&["--volume", "a1"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("is a volume"), "{}", text(&out.stdout));

    // Byte by byte what was recorded, and ffprobe finds no fault with it.
    assert_eq!(digests(&into.join("footage/gate-1")), before);
    assert!(!into.join("footage/class-1").exists());
    let [video, _] = probe::packets(&files(&into.join("footage")));
    assert_eq!(video.dts.len(), 500);
    assert_eq!(fs::read(into.join("restored/site.toml")).unwrap(), fs::read(school.path("site.toml")).unwrap());
    let old = Reader::open(&into.join("restored/databases/index.db")).unwrap();
    assert_eq!(old.streams().unwrap().len(), 2, "the index as it was, other cameras included");

    // A recorder on the bare machine finds it: the rows are those that it had.
    fs::create_dir(bare.path().join("state")).unwrap();
    let site = fs::read_to_string(school.path("site.toml")).unwrap();
    let site = site.replace(school.archive.root().to_str().unwrap(), into.to_str().unwrap());
    fs::write(bare.path().join("site.toml"), site).unwrap();
    let out = custodian(bare.path()).args(["reindex", "--site", "site.toml", "--state", "state"]).output().unwrap();
    assert!(
        out.status.success() && text(&out.stdout).contains("4 segments"),
        "{}{}",
        text(&out.stdout),
        text(&out.stderr)
    );
    let indexed = rows(&bare.path().join("state/index.db"), "gate-1");
    let told = |rows: &[SegmentRow]| {
        rows.iter().map(|r| (r.id, r.span, r.path.clone(), r.bytes, r.frames)).collect::<Vec<_>>()
    };
    assert_eq!(told(&indexed), told(&rows(&school.archive.index(), "gate-1")));

    // A folder that is a volume already has its name, whatever is said.
    fs::remove_dir_all(into.join("footage/gate-1")).unwrap();
    let out = restore(&["--volume", "b2"]);
    assert!(
        text(&out.stdout).contains("name = \"a1\"") && !text(&out.stdout).contains("\"b2\""),
        "{}",
        text(&out.stdout)
    );
    // Another school's volume takes none of this footage.
    let marker = into.join("custodian-volume.json");
    let own = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, own.replace("\"school\"", "\"other\"")).unwrap();
    let out = restore(&[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("its marker names the site"), "{}", text(&out.stderr));
    fs::write(&marker, own).unwrap();

    // Again: everything is there, nothing is written.
    let out = restore(&["--json"]);
    let report: serde_json::Value = serde_json::from_str(text(&out.stdout).lines().last().unwrap()).unwrap();
    assert_eq!((&report["restored"]["files"], &report["restored"]["there"]), (&0.into(), &made["sealed"]["files"]));
}

#[test]
fn a_part_can_be_had_and_nothing_is_written_over() {
    let school = School::with(&playable(), 3);
    school.ok(&["init", "--same-disk"]);
    school.run();
    let into = school.path("back");
    let args = |more: &[&str]| -> Vec<String> {
        let fixed = ["restore", "latest", "--identity", "key", "--into", "back"];
        fixed.iter().chain(more).map(ToString::to_string).collect()
    };
    let run = |more: &[&str]| {
        let args = args(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        school.backup(&args)
    };
    // The footage begins at 15:01 and lasts 20 s; a file has 6 s of it.
    let out = run(&["--camera", "gate-1", "--from", "2026-11-22 15:01:07", "--to", "2026-11-22 15:01:08"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let footage = files(&into.join("footage"));
    assert_eq!(footage.len(), 1, "{footage:?}");
    assert!(!into.join("restored").exists(), "who asks for a camera's footage gets that");
    // What is misspelt, or not in this backup, is not as good as restored.
    let restore = ["restore", "latest", "--identity", "key", "--into", "none"];
    for wrong in [&["--camera", "gaet"][..], &["--camera", "gate-1", "--camera", "gaet"], &["--to", "2020-01-01 00:00"]]
    {
        let said = school.fails(&[&restore[..], wrong].concat(), 1);
        assert!(said.contains("of these cameras: gate-1"), "{said}");
        assert!(!school.path("none").exists());
    }
    let list = ["list", "20261122T083000Z-1a2b3c4d"];
    for at in [&["--place", "1"][..], &["--at", "nas"], &[]] {
        assert!(school.fails(&[&list[..], at].concat(), 1).contains("20261122T083000Z-1a2b3c4d"));
    }
    // A file that is another one stays, and is told.
    fs::write(&footage[0], b"something else").unwrap();
    let out = run(&[]);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains("exists and is something else"), "{}", text(&out.stderr));
    assert_eq!(fs::read(&footage[0]).unwrap(), b"something else");
    assert_eq!(files(&into.join("footage")).len(), 4);
    // Into a folder that holds other things nothing is put.
    fs::create_dir(school.path("full")).unwrap();
    fs::write(school.path("full/x"), "x").unwrap();
    let said = school.fails(&["restore", "latest", "--identity", "key", "--into", "full"], 1);
    assert!(said.contains("is not empty"), "{said}");
    let said = school.fails(&["restore", "20261122T083000Z-1a2b3c4d", "--identity", "key", "--into", "x"], 1);
    assert!(said.contains("there is no backup 20261122T083000Z-1a2b3c4d"), "{said}");
}

#[test]
fn without_the_key_there_is_nothing() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    school.run();
    let other = age::x25519::Identity::generate();
    fs::write(school.path("other"), age::secrecy::ExposeSecret::expose_secret(&other.to_string())).unwrap();
    let said = school.fails(&["restore", "latest", "--identity", "other", "--into", "x"], 1);
    assert!(said.contains("cannot be decrypted with this key"), "{said}");
    assert!(!school.path("x").exists());
    let said = school.fails(&["restore", "latest", "--identity", "site.toml", "--into", "x"], 1);
    assert!(said.contains("line 1 of the key file"), "{said}");
}

/// What root restores the recorder must be able to read, and to delete when its time is over.
#[test]
fn what_root_restores_belongs_to_whom_the_volume_belongs() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if !nix::unistd::geteuid().is_root() {
        crate::support::not_possible("only root can give files away");
        return;
    }
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    school.run();
    let into = school.path("back");
    let restore = ["restore", "latest", "--identity", "key", "--into", "back"];
    // A volume of another user's, with a folder that is there already.
    school.ok(&[&restore[..], &["--camera", "gate-1"]].concat());
    fs::remove_dir_all(into.join("footage")).unwrap();
    fs::create_dir(into.join("footage")).unwrap();
    chown(into.join("custodian-volume.json"), Some(12_345), Some(23_456)).unwrap();
    school.ok(&restore);
    let owner = |path: &Path| {
        let meta = fs::symlink_metadata(path).unwrap();
        (meta.uid(), meta.gid())
    };
    assert_ne!(owner(&into.join("footage")).0, 12_345, "what is there stays whose it is");
    for file in files(&into.join("footage/gate-1")).iter().chain(&files(&into.join("restored"))) {
        let below = file.ancestors().take_while(|p| **p != into.join("footage") && **p != into);
        below.for_each(|path| assert_eq!(owner(path), (12_345, 23_456), "{}", path.display()));
    }
    assert!(into.join("footage/gate-1/main").is_dir() && into.join("restored/site.toml").is_file());
}
