use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use super::*;
use crate::{site, sys::FakeClock};

const DOORS: &str = "[health.pull]\nlisten = \"192.0.2.7:9443\"\ntoken_secret = \"pull\"\n\
    [health.vendor]\nlisten = \"192.0.2.7:9444\"\ntoken_secret = \"vendor\"\n";

fn site(doors: &str) -> Site {
    let text = format!(
        "[site]\nname = \"A\"\nid = \"hoa\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"vi\"\n\
         [area.yard]\nname = \"B\"\nkind = \"public\"\n[recorder.a]\nunlock = \"none\"\n\
         [[recorder.a.volume]]\nname = \"a1\"\ndisk = \"ata-OLD\"\nsize = \"10 GB\"\n\
         [camera.gate]\nname = \"C\"\narea = \"yard\"\nmain = \"rtsp://192.0.2.1/1\"\n{doors}"
    );
    site::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{}", e.render(crate::types::Lang::En, false)))
}

/// A new state, as the folders are made.
fn state() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["record", "health"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let paths = Paths::standard_at(dir.path());
    (dir, paths)
}

fn clock() -> FakeClock {
    FakeClock::at("2026-11-26T02:00:00Z".parse::<jiff::Timestamp>().unwrap().into())
}

#[test]
fn keys_are_made_once_where_the_services_look_for_them() {
    let (dir, paths) = state();
    let (clock, a) = (clock(), "a".parse().unwrap());
    let make = |site: &Site, recorder| make(&paths, Accounts::None, &clock, site, recorder).unwrap();
    assert!(make(&site(""), &a));
    let first = pairs(&paths);
    assert!(
        matches!(&*first, [(whose, key)] if whose == "ledger" && key.starts_with("custodian/hoa/a/record+")),
        "{first:?}"
    );
    assert!(!make(&site(""), &a), "again");
    // The site has got doors since.
    assert!(make(&site(DOORS), &a));
    let all = pairs(&paths);
    let whose: Vec<&str> = all.iter().map(|(whose, _)| whose.as_str()).collect();
    assert_eq!((whose, &all[..1]), (vec!["ledger", "pull", "vendor"], &first[..]));
    assert!(all[1].1.len() == 95 && all[1].1 != all[2].1, "{all:?}");
    assert!(!make(&site(DOORS), &a));
    assert_eq!(pairs(&paths), all);
    // Where the services have them in the standard state folder, and with their modes.
    let standard = Paths::new(crate::services::paths::STATE);
    let here = |path: PathBuf| dir.path().join(path.strip_prefix(standard.state()).unwrap());
    let mode = |path: &str, of: &PathBuf| fs::metadata(of.join(path)).unwrap().permissions().mode() & 0o777;
    let (ledger, doors) = (here(standard.ledger()), here(standard.health().join("tls")));
    assert_eq!([mode("key", &ledger), mode("public/vkey", &ledger), mode("public", &ledger)], [0o600, 0o644, 0o755]);
    assert_eq!([mode("pull.key", &doors), mode("pull.crt", &doors), mode("vendor.key", &doors)], [0o600, 0o644, 0o600]);
    // The next run is for another recorder: what is signed is named by it.
    assert!(make(&site(DOORS), &"b".parse().unwrap()));
    assert!(pairs(&paths)[0].1.starts_with("custodian/hoa/b/record+") && pairs(&paths)[1..] == all[1..]);
}

#[test]
fn a_ledger_that_has_entries_keeps_its_key() {
    let (_dir, paths) = state();
    let place = Place { dir: paths.ledger(), credential: None, origin: "custodian/hoa/a/record".into() };
    Log::open(Arc::new(RealFiles), &place).unwrap().append(&[b"one".to_vec()]).unwrap();
    let before = pairs(&paths);
    assert!(!make(&paths, Accounts::None, &clock(), &site(""), &"b".parse().unwrap()).unwrap());
    assert_eq!(pairs(&paths), before);
    // Half of one is none that could be gone on with: nothing is put in its place.
    fs::remove_file(place.public().join("checkpoint")).unwrap();
    assert!(make(&paths, Accounts::None, &clock(), &site(""), &"a".parse().unwrap()).is_err());
}

#[test]
fn what_is_made_belongs_to_the_services() {
    use std::os::unix::fs::MetadataExt as _;
    let (_dir, paths) = state();
    let of = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.uid(), meta.gid())).unwrap();
    assert!(make(&paths, Accounts::None, &clock(), &site(""), &"a".parse().unwrap()).unwrap());
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    all(&paths.ledger(), Some(551), Some(552)).unwrap();
    let ledger = paths.ledger();
    for path in [ledger.clone(), ledger.join("key"), ledger.join("public"), ledger.join("public/checkpoint")] {
        assert_eq!(of(&path), (551, 552), "{}", path.display());
    }
    assert_eq!(of(&paths.record()).0, 0, "nothing above it");
}
