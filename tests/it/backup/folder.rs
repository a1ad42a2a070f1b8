//! The whole life of backups in a folder.

use std::{fs, os::unix::fs::PermissionsExt as _};

use custodian::{
    retention::holds::{
        Cameras, Day, Extent, Holds, Order, Salt, Stamp, Words,
        file::{self, Content},
    },
    types::Span,
};
use uuid::Uuid;

use crate::footage::{EIGHT, SECOND};
use crate::support::school::{School, custodian, files, text};

#[test]
fn a_place_is_prepared_once_and_nothing_is_written_without() {
    let school = School::new();
    let said = school.fails(&["run"], 1);
    assert!(said.contains("not mounted") && said.contains("custodian backup init"), "{said}");
    assert_eq!(files(&school.path("nas")), Vec::<std::path::PathBuf>::new(), "a NAS that is not mounted fills no disk");
    // The record tells of the attempt.
    let records = school.list(&[]);
    assert_eq!((&records[0]["outcome"], records[0]["place"].is_null()), (&"failed".into(), true));

    let said = school.fails(&["init"], 1);
    assert!(said.contains("--same-disk") && said.contains("nothing is mounted at"), "{said}");
    assert!(school.ok(&["init", "--same-disk"]).contains("prepared."));
    assert!(school.ok(&["init"]).contains("was prepared already."));
    let marker = school.place().join("custodian-backup.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&marker).unwrap()).unwrap();
    assert_eq!((&json["site"], &json["recorder"]), (&"school".into(), &"a".into()));
    json["site"] = "other".into();
    fs::write(&marker, json.to_string()).unwrap();
    let said = school.fails(&["run"], 1);
    assert!(said.contains("it holds the backups of recorder a of site other"), "{said}");
    assert_eq!(files(&school.place()), [marker]);
}

/// A disk that somebody else had: root must not be led astray by what lies on it.
#[test]
fn a_link_on_the_medium_leads_nowhere() {
    let school = School::new();
    for taken in ["elsewhere", "nowhere"] {
        let _ = fs::create_dir(school.path("elsewhere"));
        std::os::unix::fs::symlink(school.path(taken), school.place()).unwrap();
        let said = school.fails(&["init", "--same-disk"], 1);
        assert!(said.contains("is no folder but a link or a file"), "{said}");
        assert_eq!(files(&school.path("elsewhere")), Vec::<std::path::PathBuf>::new());
        fs::remove_file(school.place()).unwrap();
    }
    fs::create_dir(school.place()).unwrap();
    assert!(school.ok(&["init", "--same-disk"]).contains("prepared."), "a folder that is there will do");
}

#[test]
fn days_go_by() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    fs::create_dir(school.path("exports")).unwrap();
    fs::write(school.path("exports/letter.mp4"), b"what the police took away").unwrap();
    let first = school.run();
    assert_eq!(first["outcome"], "complete", "{first:#}");
    // Two files of the gate's camera in two objects each, an export, the index, site.toml; nothing of the classroom.
    assert_eq!((&first["sealed"]["files"], &first["sealed"]["objects"]), (&5.into(), &7.into()));
    assert_eq!(first["contents"].as_array().unwrap().len(), 4);
    let footage = &first["contents"][3];
    assert_eq!(
        (&footage["kind"], &footage["camera"], &footage["files"]),
        (&"footage".into(), &"gate-1".into(), &2.into())
    );
    assert!(first["ledger"].is_string());

    // The next day nothing is new but what has changed.
    let second = school.run();
    assert_eq!(second["sealed"]["objects"], 7);
    assert_eq!(second["sealed"]["new_objects"], 0, "{second:#}");
    fs::write(school.path("exports/second.mp4"), b"x").unwrap();
    assert_eq!(school.run()["sealed"]["new_objects"], 1);

    // Held or not, what is backed up stays in the backups when it is gone here.
    let root = school.archive.root();
    fs::remove_dir_all(root.join("footage/gate-1")).unwrap();
    let fourth = school.run();
    assert_eq!((&fourth["outcome"], &fourth["sealed"]["new_objects"]), (&"complete".into(), &0.into()));

    let mode = |name: &str| fs::metadata(school.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(["backups", "backups/catalogue.db", "backups/backup.lock"].map(mode), [0o700, 0o640, 0o640]);

    let list = school.ok(&["list"]);
    assert_eq!(list.lines().count(), 5, "{list}");
    let sheet = school.ok(&["list", first["id"].as_str().unwrap(), "--lang", "vi"]);
    assert!(sheet.starts_with("BIÊN BẢN SAO LƯU") && sheet.contains(&school.recipient()), "{sheet}");
    let there = school.list(&["--place", "1"]);
    assert_eq!(there.as_array().unwrap().len(), 4);

    let said = school.ok(&["verify"]);
    assert!(said.contains("4 backups") && said.contains("Damaged: 0."), "{said}");
    let said = school.ok(&["verify", "--identity", "key"]);
    assert!(said.contains("decrypted") && said.contains("Damaged: 0."), "{said}");
    assert!(school.ok(&["list", first["id"].as_str().unwrap()]).contains("(decrypted): in order"));

    // An entry for each waits for the ledger, and none twice.
    let spool = files(&school.path("ledger-spool"));
    let backups: Vec<String> = spool.iter().map(|f| fs::read_to_string(f).unwrap()).collect();
    assert_eq!(backups.len(), 4);
    assert!(backups.iter().all(|e| e.contains("\"kind\":\"backup\"") && e.contains("directory:")), "{backups:?}");
}

#[test]
fn what_is_missing_is_told_with_an_exit_code_of_its_own() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    let lost = files(&school.archive.root().join("footage/gate-1")).remove(0);
    fs::write(&lost, b"torn").unwrap();
    let out = school.backup(&["run"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    let name = lost.file_name().unwrap().to_str().unwrap();
    assert!(
        text(&out.stderr).contains(name) && text(&out.stderr).contains("it has 4 bytes instead of"),
        "{}",
        text(&out.stderr)
    );
    assert!(text(&out.stdout).contains("incomplete"), "{}", text(&out.stdout));
    // For the service that is a success; a command line that is not understood is none.
    let unit = include_str!("../../../modules/units/custodian-backup.service");
    let successes: Vec<&str> = unit.lines().filter_map(|l| l.strip_prefix("SuccessExitStatus=")).collect();
    assert_eq!(successes, ["3"]);
    assert!(school.fails(&["run", "--plaec", "1"], 2).contains("--plaec"));
    assert!(school.fails(&["verify", "--identiy", "key"], 2).contains("--identiy"));
    // What the backup lacks was not restored either.
    let said = school.fails(&["restore", "latest", "--identity", "key", "--into", "back"], 3);
    assert!(said.contains(name), "{said}");
}

#[test]
fn one_flipped_bit_on_the_medium_is_named() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    school.run();
    let object = files(&school.place().join("objects")).remove(3);
    let mut bytes = fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&object, &bytes).unwrap();
    let name = object.strip_prefix(school.place()).unwrap().to_str().unwrap();
    let said = school.fails(&["verify"], 3);
    assert!(said.contains("DAMAGED") && said.contains(name), "{said}");
    let said = school.fails(&["verify", "--identity", "key"], 3);
    assert!(said.contains(name), "{said}");
    let record = school.list(&[]);
    assert!(record[0]["check"]["damaged"][0].as_str().unwrap().contains(name), "{record:#}");
    // The next backup does not rely on it.
    let made = school.run();
    assert!(made["sealed"]["new_objects"].as_u64().unwrap() >= 1, "{made:#}");
    let said = school.ok(&["verify", made["id"].as_str().unwrap(), "--identity", "key"]);
    assert!(said.contains("Damaged: 0."), "{said}");
}

#[test]
fn backups_that_are_gone_are_missed_and_the_other_place_is_looked_at() {
    let mut school = School::new();
    let (nas, other) = (school.path("nas"), school.path("other"));
    fs::create_dir(&other).unwrap();
    let place = |path: &std::path::Path| format!("{{ kind = \"directory\", path = \"{}\" }}", path.display());
    school.places(&format!("[{}, {}]", place(&other), place(&nas)));
    school.ok(&["init", "--same-disk"]);
    let id = school.json(&["run"])["backups"][1]["id"].as_str().unwrap().to_owned();
    // One that is named is looked for at both, and one that is nowhere is missed.
    assert!(school.ok(&["verify", &id]).contains("Damaged: 0."));
    let nowhere = "20200101T000000Z-00000000";
    assert!(school.fails(&["verify", &id, nowhere], 1).contains(nowhere));
    for folder in ["objects", "backups"] {
        fs::remove_dir_all(school.place().join(folder)).unwrap();
    }
    let out = school.backup(&["verify"]);
    assert_eq!(out.status.code(), Some(3), "{}{}", text(&out.stdout), text(&out.stderr));
    assert!(text(&out.stderr).contains(&id) && text(&out.stderr).contains("it is gone"), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("Damaged: 0.") && text(&out.stdout).contains("Damaged: 1."));
    let records = school.list(&[]);
    let record = records.as_array().unwrap().iter().find(|r| r["id"] == id.as_str()).unwrap();
    assert!(record["check"]["damaged"][0].as_str().unwrap().contains("it is gone"), "{record:#}");
    // The first place is away: the second is looked at all the same, and the worst is said.
    fs::remove_dir_all(&other).unwrap();
    let out = school.backup(&["verify"]);
    assert_eq!(out.status.code(), Some(1), "{}{}", text(&out.stdout), text(&out.stderr));
    assert!(text(&out.stdout).contains("Damaged: 1."), "{}", text(&out.stdout));
    let out = school.backup(&["list", "--place", "1", "--json"]);
    assert_eq!((out.status.code(), text(&out.stdout).trim()), (Some(1), "[]"));
}

#[test]
fn a_record_that_somebody_exchanged_at_the_place_is_noticed() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    let id = school.run()["id"].as_str().unwrap().to_owned();
    let path = school.place().join(format!("backups/{id}.json"));
    let record = fs::read_to_string(&path).unwrap().replace("\"missing\": 0", "\"missing\": 7");
    fs::write(&path, record).unwrap();
    let said = school.fails(&["verify"], 3);
    assert!(said.contains("not the record that this recorder wrote"), "{said}");
}

#[test]
fn one_place_that_fails_is_no_matter_of_the_other() {
    let mut school = School::new();
    let other = school.path("other");
    fs::create_dir(&other).unwrap();
    let to = format!(
        "[{{ kind = \"directory\", path = \"{}\" }}, {{ kind = \"directory\", path = \"{}\" }}]",
        other.display(),
        school.path("nas").display()
    );
    school.places(&to);
    school.ok(&["init", "--same-disk"]);
    fs::remove_dir_all(&other).unwrap();
    let out = school.backup(&["run", "--json"]);
    assert_eq!(out.status.code(), Some(1));
    let made: serde_json::Value = serde_json::from_str(text(&out.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(
        (&made["backups"][0]["outcome"], &made["backups"][1]["outcome"]),
        (&"failed".into(), &"complete".into())
    );
    assert!(school.fails(&["run", "--place", "3"], 1).contains("site.toml names no place"));
    assert_eq!(school.json(&["run", "--place", "2"])["backups"].as_array().unwrap().len(), 1);
}

#[test]
fn a_machine_of_several_knows_which_one_it_is() {
    let school = School::new();
    school.site("[recorder.b]\n[[recorder.b.volume]]\nname = \"b1\"\npath = \"/srv/b1\"\n");
    let site = fs::read_to_string(school.path("site.toml")).unwrap();
    let site = site.replace("area = \"yard\"", "area = \"yard\"\nvolume = \"a1\"");
    let site = site.replace("area = \"class\"", "area = \"class\"\nvolume = \"a1\"");
    fs::write(school.path("site.toml"), &site).unwrap();
    assert!(school.fails(&["init", "--same-disk"], 1).contains("say which one this is with --recorder"));
    // As apply leaves it.
    let current = school.path("current");
    fs::create_dir(&current).unwrap();
    fs::write(current.join("site.toml"), &site).unwrap();
    fs::write(current.join("plan.json"), "{\"recorder\": \"a\"}").unwrap();
    let backup = |what: &[&str]| {
        let mut command = custodian(&school.path("."));
        command.arg("backup").args(what).arg("--state").arg(school.path("."));
        command.output().unwrap()
    };
    let out = backup(&["init", "--same-disk"]);
    assert!(out.status.success() && school.place().is_dir(), "{}", text(&out.stderr));
    // Of another site's file that says nothing.
    assert!(school.fails(&["run"], 1).contains("say which one this is with --recorder"));
}

#[test]
fn what_is_held_is_backed_up_though_its_area_is_not() {
    let school = School::new();
    school.ok(&["init", "--same-disk"]);
    let words = |text: &str| Words::try_from(text.to_owned()).unwrap();
    let order = Order {
        by: words("Hiệu trưởng"),
        reason: words("a fall on the stairs"),
        case: None,
        entered_by: words("root"),
        even_if_short: false,
    };
    let stamp =
        Stamp { id: Uuid::from_u128(5), at: EIGHT, by_salt: Salt::new([1; 16]), reason_salt: Salt::new([2; 16]) };
    // A second of the classroom's first file.
    let span = Span { start: EIGHT.offset(61 * SECOND), end: EIGHT.offset(62 * SECOND) };
    let extent = Extent::new(Cameras::These(["class-1".parse().unwrap()].into()), span).unwrap();
    let mut holds = Holds::default();
    holds.add(Uuid::from_u128(7).into(), extent, Day(jiff::civil::date(2027, 1, 1)), order, stamp);
    fs::write(school.path("holds.json"), file::to_bytes(&Content { holds, ..Content::default() })).unwrap();
    let made = school.run();
    let of = |made: &serde_json::Value, camera: &str| {
        let lines = made["contents"].as_array().unwrap().iter().filter(|c| c["camera"] == camera);
        lines.map(|c| c["files"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((of(&made, "class-1"), of(&made, "gate-1")), (1, 2), "{made:#}");
    // Lost on its disk, the next comparison takes the row away: the backups keep what they have.
    let lost = files(&school.archive.root().join("footage/class-1")).remove(0);
    fs::remove_file(lost).unwrap();
    let state = school.archive.dir.path().to_owned();
    let reindex = custodian(&state).args(["reindex", "--site", "site.toml", "--state", "."]).output().unwrap();
    assert!(reindex.status.success(), "{}", text(&reindex.stderr));
    let made = school.run();
    assert_eq!(
        (of(&made, "class-1"), &made["outcome"], &made["missing"]),
        (1, &"complete".into(), &serde_json::json!([]))
    );

    // Where the register of holds or the index cannot be read, all else is backed up, and nothing is said to be complete.
    for broken in ["holds.json", "index.db"] {
        fs::write(school.path(broken), "{").unwrap();
        let said = school.fails(&["run"], 3);
        assert!(said.contains(&format!("databases/{broken}: it does not tell what footage is wanted")), "{said}");
        let records = school.list(&[]);
        let record = records.as_array().unwrap().iter().find(|r| r["missing"].to_string().contains(broken)).unwrap();
        let site = record["contents"].as_array().unwrap().iter().any(|c| c["kind"] == "site");
        assert_eq!((&record["outcome"], site), (&"incomplete".into(), true), "{record:#}");
        assert!(!school.path("backups/work").exists());
    }
}
