//! What a real journal has of what custodian logs.

use std::collections::BTreeMap;

use custodian::types::event::{self, Event};

use super::*;

/// An entry's fields, those that are text.
type Entry = BTreeMap<String, String>;

/// The entries of an event, the oldest first.
fn entries(machine: &Machine, event: Event) -> Vec<Entry> {
    let json = machine.run(&["journalctl", "--output=json", "--all", &format!("MESSAGE_ID={}", event.id)]);
    let entry = |line: &str| -> Entry {
        let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        all.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
    };
    json.lines().map(entry).collect()
}

fn noted(machine: &Machine, event: Event, is: impl Fn(&Entry) -> bool) -> Entry {
    wait_for(event.name, Duration::from_secs(30), || entries(machine, event).into_iter().find(|e| is(e)))
}

/// Whether an entry has these fields.
fn with<'a>(fields: &'a [(&'a str, &'a str)]) -> impl Fn(&Entry) -> bool + 'a {
    |entry| fields.iter().all(|(key, value)| entry.get(*key).is_some_and(|v| v == value))
}

#[test]
fn loop_the_journal_has_events_with_their_fields_and_explains_them() {
    if !possible() {
        return;
    }
    let cameras = OwnCameras::start(1);
    let there = (cameras.names[0].as_str(), cameras.urls()[0].as_str());
    let mut appliance = Appliance::new(&cameras);
    let password = "Nobody-knows-9!";
    appliance.secrets.push_str("[credentials.wrong]\nusername = \"viewer\"\npassword = \"");
    appliance.secrets.push_str(&[password, "\"\n"].concat());
    let catalogs = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/catalog");
    let names = ["custodian.catalog", "custodian.vi.catalog", "custodian.zh_CN.catalog"];
    let binds = names.map(|name| (catalogs.join(name), format!("/usr/lib/systemd/catalog/{name}")));
    let machine = appliance.boot_with(&binds);
    appliance
        .site_with(&[], &[there, ("gone", "rtsp://127.0.0.1:9/none"), ("refused", &there.1.replace("/main", "/sub"))]);
    let site = appliance.path("etc/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    let refused = "[camera.refused]\narea = \"y\"\ncredentials = ";
    assert!(text.contains(refused));
    fs::write(&site, text.replace(&format!("{refused}\"viewer\""), &format!("{refused}\"wrong\""))).unwrap();
    machine.run(&["custodian", "volume", "init", "v1"]);
    machine.run(&["chown", "--recursive", "custodian-record:", "/srv/v1"]);
    machine.run(&["custodian", "apply"]);
    wait_until_recorded(&machine, &[there]);

    // By a person's hand, which the journal is not connected with.
    let applied = noted(&machine, event::GENERATION_IN_FORCE, with(&[("GENERATION", "1"), ("PRIORITY", "5")]));
    assert_eq!(applied["SYSLOG_IDENTIFIER"], "custodian");
    // By the service.
    let unit = ("_SYSTEMD_UNIT", "custodian-record.service");
    let started = noted(&machine, event::RECORDER_STARTED, with(&[("RECORDER", "a"), ("COUNT", "3"), unit]));
    assert_eq!((&*started["MESSAGE"], &*started["PRIORITY"]), ("recorder a: 3 streams to record", "5"));
    assert!(started["CODE_FILE"].ends_with("start.rs") && started["SYSLOG_IDENTIFIER"] == "custodian", "{started:?}");
    let lost = noted(&machine, event::CAMERA_LOST, with(&[("CAMERA", "gone"), ("STREAM", "main"), unit]));
    assert!(lost["CAUSE"].starts_with("unreachable") && lost["PRIORITY"] == "4", "{lost:?}");
    let refused = noted(&machine, event::CAMERA_LOST, with(&[("CAMERA", "refused"), unit]));
    assert!(refused["CAUSE"].starts_with("credentials"), "{refused:?}");
    assert!(entries(&machine, event::RECORDER_KILLED).is_empty());
    // Its disk is not there at the start, and comes.
    machine.run(&["mv", "/srv/v1/custodian-volume.json", "/srv/v1/away"]);
    machine.run(&["kill", "-KILL", &recorder_pid(&machine)]);
    noted(&machine, event::RECORDER_KILLED, with(&[("RECORDER", "a"), ("PRIORITY", "4"), unit]));
    let absent = noted(&machine, event::VOLUME_ABSENT, with(&[("VOLUME", "v1"), ("PRIORITY", "3"), unit]));
    assert!(absent["MESSAGE"].contains(&absent["CAUSE"]), "{absent:?}");
    machine.run(&["mv", "/srv/v1/away", "/srv/v1/custodian-volume.json"]);
    noted(&machine, event::VOLUME_BACK, with(&[("VOLUME", "v1"), ("PRIORITY", "5"), unit]));
    wait_until_recorded(&machine, &[there]);

    // Explained, in the reader's language. The machine has no locales; what it lacks is made of the one that is always there.
    machine.run(&["journalctl", "--update-catalog"]);
    machine.run(&["cp", "--recursive", "/usr/lib/locale/C.utf8", "/usr/lib/locale/vi_VN.utf8"]);
    for (locale, words) in [("C.UTF-8", "Volume v1 is not there"), ("vi_VN.UTF-8", "Không có vùng lưu trữ v1")] {
        let (locale, id) = (format!("LC_ALL={locale}"), format!("MESSAGE_ID={}", event::VOLUME_ABSENT.id));
        let said = machine.run(&["env", &locale, "journalctl", "--catalog", "--no-pager", &id]);
        assert!(said.contains(words) && said.contains(&absent["CAUSE"]) && !said.contains('@'), "{said}");
    }

    let all = machine.run(&["journalctl", "--output=json", "--all"]);
    assert!(all.contains("custodian-record.service") && !all.contains(password), "a password is in the journal");
    machine.cut();
}
