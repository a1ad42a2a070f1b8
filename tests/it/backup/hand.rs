//! By hand, with tools that nobody here wrote: age and sha256sum. As docs/ref/backup.md tells it.

use std::{fs, path::Path, process::Command};

use crate::support::school::{School, files, text};

/// The program `age`, if it is installed; says so if not.
fn age(identity: &Path, file: &Path) -> Option<Vec<u8>> {
    let out = Command::new("age").arg("--decrypt").arg("--identity").arg(identity).arg(file).output();
    let Ok(out) = out else {
        crate::support::lacking("age is not installed");
        return None;
    };
    assert!(out.status.success(), "{}", text(&out.stderr));
    Some(out.stdout)
}

#[test]
fn a_file_is_put_together_with_age_alone() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    let id = school.run()["id"].as_str().unwrap().to_owned();
    let place = school.place();
    let key = school.path("key");
    let Some(manifest) = age(&key, &place.join(format!("backups/{id}.manifest.age"))) else { return };
    let manifest = String::from_utf8(manifest).unwrap();
    let lines: Vec<serde_json::Value> = manifest.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["id"], id.as_str());
    let mut together = 0;
    for line in lines[1..].iter().filter(|l| l["kind"] == "footage") {
        let copy = line["copy"].as_str().unwrap();
        let mut whole = Vec::new();
        for part in 0..line["parts"].as_u64().unwrap() {
            let object = place.join(format!("objects/{}/{copy}-{part:05}.age", &copy[..2]));
            whole.extend(age(&key, &object).unwrap());
        }
        let original = school.archive.root().join(line["path"].as_str().unwrap());
        assert!(whole == fs::read(original).unwrap(), "{line}");
        together += 1;
    }
    assert_eq!(together, 2);
    // And with nothing at all, whether the medium is whole.
    let out = Command::new("sha256sum")
        .args(["--check", "--quiet", &format!("backups/{id}.sha256")])
        .current_dir(&place)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
}

/// No name and no byte at the place tells of a camera, a person or the school's name.
#[test]
fn the_medium_tells_nothing() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    school.run();
    for file in files(&school.place()) {
        let name = file.strip_prefix(school.place()).unwrap().display().to_string();
        let bytes = fs::read(&file).unwrap();
        for word in ["gate-1", "class-1", "footage", "SQLite format", "rtsp://", "Hướng Dương"] {
            assert!(!name.contains(word), "{name}");
            assert!(!bytes.windows(word.len()).any(|w| w == word.as_bytes()), "{name} tells {word}");
        }
    }
}
