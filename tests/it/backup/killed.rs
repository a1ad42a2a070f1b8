//! The process is killed in the middle, and another one is started beside it.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

use crate::support::{
    school::{School, files},
    wait_for,
};

/// Slow enough to be caught: an object of 8 MiB takes two seconds to be written and read back.
const SLOW: &str = "rate = \"64 Mbit/s\"";

/// Objects with their numbers in the file system: one that is written anew has another.
fn objects(school: &School) -> BTreeMap<PathBuf, u64> {
    let all = files(&school.place().join("objects"));
    all.into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "age"))
        .map(|f| (f.clone(), fs::metadata(f).unwrap().ino()))
        .collect()
}

#[test]
fn a_killed_backup_is_continued_and_nothing_that_was_whole_goes_there_twice() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    school.site(SLOW);
    for wanted in [1, 3, 5] {
        let mut child = school.spawn(&["run"]);
        wait_for("objects to arrive", Duration::from_mins(1), || (objects(&school).len() >= wanted).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let arrived = objects(&school);
    school.site("");
    let made = school.run();
    assert_eq!(made["outcome"], "complete");
    let now = objects(&school);
    // One more: site.toml as it was, with its rate.
    assert_eq!(now.len() as u64, made["sealed"]["objects"].as_u64().unwrap() + 1, "nothing lies there twice");
    for (name, number) in arrived {
        assert_eq!(now.get(&name), Some(&number), "{} was written again", name.display());
    }
    assert!(school.ok(&["verify", "--identity", "key"]).contains("Damaged: 0."));
    let records = school.list(&[]);
    let outcomes: Vec<&str> = records.as_array().unwrap().iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["cut", "cut", "cut", "complete"]);
}

#[test]
fn two_at_once_are_one() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    school.site(SLOW);
    let mut child = school.spawn(&["run"]);
    wait_for("the first object", Duration::from_mins(1), || (!objects(&school).is_empty()).then_some(()));
    let said = school.fails(&["run"], 1);
    assert!(said.contains("a backup is being made already"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    school.site("");
    assert_eq!(school.run()["outcome"], "complete", "the lock dies with its holder");
}

/// It was complete, and nobody had written that down yet.
#[test]
fn a_backup_that_was_complete_when_it_was_killed_is_one() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    let made = school.run();
    let path = school.path(&format!("backups/{}.json", made["id"].as_str().unwrap()));
    let mut record = made.clone();
    record["outcome"] = "running".into();
    for unknown in ["ended", "sealed", "ledger"] {
        record[unknown] = serde_json::Value::Null;
    }
    fs::write(&path, record.to_string()).unwrap();
    // As long as the place does not say what has come of it, nobody decides.
    let (there, away) = (school.place().join("backups").join(path.file_name().unwrap()), school.path("away"));
    fs::rename(&there, &away).unwrap();
    fs::create_dir(&there).unwrap();
    school.run();
    let undecided: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(undecided["outcome"], "running");
    fs::remove_dir(&there).unwrap();
    fs::rename(&away, &there).unwrap();
    school.run();
    let settled: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((&settled["outcome"], &settled["sealed"]), (&"complete".into(), &made["sealed"]));
    assert!(settled["ledger"].is_string());
}

/// It was cut while it removed old backups: these are not missed afterwards.
#[test]
fn what_a_cut_backup_removed_is_known_to_be_removed() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    let (old, cut) = (school.run(), school.run());
    let id = |record: &serde_json::Value| record["id"].as_str().unwrap().to_owned();
    let edit = |record: &serde_json::Value, change: &dyn Fn(&mut serde_json::Value)| {
        let mut record = record.clone();
        change(&mut record);
        fs::write(school.path(&format!("backups/{}.json", id(&record))), record.to_string()).unwrap();
    };
    edit(&old, &|record| record["started"] = (record["started"].as_i64().unwrap() - 100 * 86_400_000_000_000).into());
    for file in files(&school.place().join("backups")) {
        if file.to_str().unwrap().contains(&id(&old)) {
            fs::remove_file(file).unwrap();
        }
    }
    assert!(school.fails(&["verify"], 3).contains(&id(&old)), "as long as nobody removed it, it is gone");
    edit(&cut, &|record| {
        record["outcome"] = "running".into();
        record["sealed"] = serde_json::Value::Null;
    });
    school.site("keep_days = 30");
    school.run();
    let records = school.list(&[]);
    let of = |wanted: &serde_json::Value| records.as_array().unwrap().iter().find(|r| r["id"] == wanted["id"]).unwrap();
    assert!(of(&old)["removed"].is_i64(), "{records:#}");
    assert_eq!((&of(&cut)["expired"][0], &of(&cut)["outcome"]), (&old["id"], &"complete".into()));
    school.ok(&["verify"]);
}
