//! `custodian reset-config` on a state folder with everything in it: what moves, and that nothing else does.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const SITE: &str = include_str!("../../image/site.example.toml");
/// What a recorder may have, besides what is in force.
const OTHERS: [&str; 18] = [
    "generations/3/site.toml",
    "generations/3/secrets.toml",
    "generations/3/meta.json",
    "generations/2/site.toml",
    "in-force.json",
    "factors.json",
    "record/index.db",
    "record/retention.json",
    "record/holds.json",
    "record/ledger/key",
    "record/ledger/public/checkpoint",
    "volumes/a1/custodian-volume.json",
    "volumes/a1/footage/x/0.mp4",
    "backups/catalogue.db",
    "health/silences.json",
    "updates/state.json",
    "updates/offered/SHA256SUMS",
    "credstore/custodian.ledger-key",
];
const MOVED: [&str; 5] = ["trial.json", "pending.json", "confirmed", "etc/site.toml", "etc/secrets.toml"];

#[expect(clippy::disallowed_methods, reason = "these folders are on no disk of a recorder")]
fn put(state: &Path, name: &str) {
    let path = state.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, if name.ends_with("site.toml") { SITE.to_owned() } else { format!("content of {name}") }).unwrap();
}

/// All files and links below a folder, but what was set aside and left for the ledger.
fn all(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(at: &Path, base: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(base).unwrap().to_owned();
            if kind.is_dir() {
                walk(&path, base, found);
            } else if kind.is_symlink() {
                found.insert(name, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes());
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    let ours = |name: &PathBuf| ["set-aside", "ledger-spool", "apply.lock"].iter().any(|n| name.starts_with(n));
    found.retain(|name, _| !ours(name));
    found
}

fn reset(state: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.args(["reset-config", "--json", "--state"]).arg(state).arg("--unit-dir").arg(state.with_file_name("units"));
    command.args(more).output().unwrap()
}

fn json(out: &Output) -> serde_json::Value {
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn the_configuration_moves_and_nothing_else_does() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for factors in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        fs::create_dir(dir.path().join("units")).unwrap();
        OTHERS.iter().chain(&MOVED).for_each(|name| put(&state, name));
        fs::create_dir(state.join("ledger-spool")).unwrap();
        symlink("generations/3", state.join("current")).unwrap();
        let before = all(&state);
        let also: &[&str] = if factors { &["--factors"] } else { &[] };

        let sheet = reset(&state, also);
        assert_eq!(sheet.status.code(), Some(3), "nothing was done");
        let (sheet, token) = (json(&sheet), json(&sheet)["token"].as_str().unwrap().to_owned());
        assert_eq!((sheet["generation"].as_u64(), sheet["moves"].as_array().unwrap().len()), (Some(3), 5 + also.len()));
        // Without a reason, with another token, or with that of the other question nothing is done.
        let other =
            json(&reset(&state, if factors { &[] } else { &["--factors"] }))["token"].as_str().unwrap().to_owned();
        let long = ["--reason", "a wrong site", "--no-restart"];
        for token in ["0000-0000-0000-0000", &other] {
            assert_eq!(reset(&state, &[also, &["--token", token], &long].concat()).status.code(), Some(1));
        }
        assert_eq!(reset(&state, &[also, &["--token", &token]].concat()).status.code(), Some(2));
        assert_eq!(all(&state), before);

        let done = reset(&state, &[also, &["--token", &token], &long].concat());
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        let folder = PathBuf::from(json(&done)["folder"].as_str().unwrap());
        let mut wanted = before.clone();
        let gone = |name: &&&str| **name == "factors.json" && factors;
        for name in MOVED.iter().chain(["factors.json"].iter().filter(gone)) {
            let moved = wanted.remove(Path::new(name)).unwrap();
            assert_eq!(fs::read(folder.join(name)).unwrap(), moved, "{name}");
        }
        wanted.remove(Path::new("current")).unwrap();
        assert_eq!(all(&state), wanted);

        // The ledger was told, of persons and reasons their salted hashes.
        let left: Vec<_> = fs::read_dir(state.join("ledger-spool")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left.len(), 1);
        let entry = fs::read_to_string(&left[0]).unwrap();
        assert!(entry.contains(r#""kind":"reset","generation":3"#) && !entry.contains("a wrong site"), "{entry}");
        assert!(fs::read_to_string(folder.join("reset.json")).unwrap().contains("a wrong site"));
    }
}
