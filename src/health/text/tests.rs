use std::{collections::BTreeSet, fmt::Write as _};

use proptest::prelude::*;

use super::*;
use crate::{
    health::{
        facts::{Facts, NoAnswer},
        fixture::{self, DAY, HOUR, MINUTE, NOW, ago, kept, look, newest, root, told, troubles},
        judge::{CODES, Kind},
        steady::Steady,
    },
    lang::catalog_json,
    site,
    types::{
        ByteSize, StreamKind,
        wire::{
            Breaks, Doubt, Suspension,
            health::{Report, Silence},
        },
    },
};

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

/// That the three catalogs have the same keys and placeholders is proven elsewhere.
#[test]
fn everything_that_can_be_said_has_words() {
    let catalog = catalog_json(Lang::En, "health.");
    let mut keys: BTreeSet<String> = catalog.as_object().unwrap().keys().cloned().collect();
    let mut take = |key: String, values: &[&str]| {
        let text = raw(Lang::En, &format!("health.{key}")).unwrap_or_else(|| panic!("health.{key} has no text"));
        let known: BTreeSet<&str> = values.iter().copied().chain(["subject"]).collect();
        assert!(placeholders(text).is_subset(&known), "health.{key}: {text}");
        assert!(keys.remove(&key), "{key}");
    };
    for code in CODES.iter().copied().flatten() {
        let key = format!("{}_{}", code.probe, code.text);
        take(key.clone(), code.values);
        if code.kind != Kind::Fine {
            take(format!("{key}_do"), code.values);
        }
    }
    for probe in Probe::ALL {
        take(probe.to_string(), &[]);
    }
    for level in [Level::Ok, Level::Warn, Level::Fail] {
        take(format!("level_{level}"), &[]);
    }
    // What is left is not about a probe.
    let rest = ["comma", "and_more", "over", "subject", "unit_"];
    keys.retain(|key| !rest.iter().any(|r| key.starts_with(r)));
    assert!(keys.is_empty(), "nobody says {keys:?}");
}

fn zone() -> TimeZone {
    TimeZone::get("Asia/Ho_Chi_Minh").unwrap()
}

#[test]
fn values_are_for_people() {
    let zone = zone();
    let said = |lang, value: Value| Words::new(lang, &zone, &[]).value(&value);
    let lengths: Vec<String> =
        [0.0042, -0.35, 0.0, 1.0, 9.94, 9.96, 59.4, 59.6, 185.0, 600.0, 3599.0, 3600.0, 7500.0, 86_400.0, -180_000.0]
            .into_iter()
            .map(|s| said(Lang::En, Value::Seconds(s)))
            .collect();
    let is = [
        "4 ms",
        "−0.3 s",
        "0 s",
        "1 s",
        "9.9 s",
        "10 s",
        "59 s",
        "1 min",
        "3 min 5 s",
        "10 min",
        "59 min",
        "1 h",
        "2 h 5 min",
        "1 day",
        "−2 days 2 h",
    ];
    assert_eq!(lengths, is);
    assert_eq!(said(Lang::Vi, Value::Seconds(185.0)), "3 phút 5 giây");
    assert_eq!(said(Lang::Zh, Value::Seconds(90_000.0)), "1 天 1 小时");
    assert_eq!(said(Lang::En, Value::Days(27.58)), "27.5 days");
    assert_eq!(said(Lang::En, Value::Days(19.99)), "19.9 days", "never more than it is");
    assert_eq!(said(Lang::Vi, Value::Days(20.0)), "20 ngày");
    assert_eq!(said(Lang::En, Value::Bytes(ByteSize(400_000_000_000))), "400 GB");
    assert_eq!(said(Lang::En, Value::Celsius(58.0)), "58 °C");
    assert_eq!(said(Lang::En, Value::Percent(91.2)), "91 %");
    assert_eq!(said(Lang::En, Value::Time(NOW)), "2026-11-26 09:00:00");
    assert_eq!(said(Lang::En, Value::Cameras(vec![1, 2])), "camera 1, camera 2");
    assert_eq!(said(Lang::Zh, Value::Cameras(vec![1, 2])), "摄像机 1、摄像机 2");
    let many = said(Lang::En, Value::Cameras((1..=11).collect()));
    assert!(many.ends_with("camera 8 and 3 more"), "{many}");
}

#[test]
fn subjects_are_for_people() {
    let zone = zone();
    let report = look(&fixture::well(2), &[], &mut Steady::default(), 0).0;
    let named = Words::new(Lang::En, &zone, &report.cameras);
    let masked = report.masked();
    let numbered = Words::new(Lang::En, &zone, &masked.cameras);
    let about = |subject| Finding::new(Probe::Load, subject, Level::Ok, "easy", NOW);
    let other = |name: &str| about(Some(Subject::Other(name.into())));
    assert_eq!(named.subject(&about(None)), "the recorder");
    assert_eq!(named.subject(&about(Some(Subject::Camera(2)))), "Cổng 2");
    assert_eq!(numbered.subject(&about(Some(Subject::Camera(2)))), "camera 2");
    assert_eq!(named.subject(&about(Some(Subject::Camera(9)))), "camera 9", "one that has left the site");
    assert_eq!(named.subject(&about(Some(Subject::Volume("a1".parse().unwrap())))), "volume a1");
    assert_eq!(named.subject(&other("backup-2-s3")), "backup place 2 (s3)");
    assert_eq!(named.subject(&other("push-1-uptime-kuma")), "endpoint 1 (uptime-kuma)");
    assert_eq!(named.subject(&other("alarm-3-email")), "alarm 3 (email)");
    assert_eq!(named.subject(&other("unit-4711-service")), "another service (service, 4711)");
    assert_eq!(named.subject(&other("drift")), "generation");
    assert_eq!(named.subject(&other("custodian-web.service")), "custodian-web.service");
    assert_eq!(named.subject(&other("backup-x-y")), "backup-x-y");
}

/// A report as a person reads it.
fn page(report: &Report, lang: Lang) -> String {
    let zone = zone();
    let words = Words::new(lang, &zone, &report.cameras);
    let mut page = String::new();
    for f in &report.findings {
        let _ = writeln!(page, "{} | {} | {}", words.level(f.level), words.probe(f.probe), words.sentence(f));
        if let Some(to_do) = words.to_do(f) {
            let _ = writeln!(page, "    → {to_do}");
        }
    }
    page
}

/// A day on which much is wrong at once, though the recorder answers.
fn bad_day() -> Facts {
    let why = || Some("cannot write it: Input/output error (os error 5), c9 at 10.20.1.9".to_owned());
    let mut facts = fixture::well(10);
    newest(&mut facts, "c4", StreamKind::Main, Some(ago(3 * HOUR + 25 * MINUTE)));
    newest(&mut facts, "c7", StreamKind::Main, None);
    let status = told(&mut facts);
    status.streams.iter_mut().for_each(|s| s.gap_seconds_day = 725.0);
    (status.streams[0].clock_error, status.volumes[1].healthy) = (Some(-125.0), false);
    status.volumes[1].problem = why();
    status.volumes[0].commit_latency.as_mut().unwrap().p99_us = 2_345_000;
    let ledger = status.ledger.as_mut().unwrap();
    (ledger.problem, ledger.waiting, ledger.dropped) = (why(), 12, 3);
    let kept = kept(&mut facts);
    kept.cameras[1].kept.as_mut().unwrap().lost_seconds = 7260;
    kept.cameras[2].substream = true;
    kept.suspended = vec![Suspension { volume: None, doubt: Doubt::Ledger, why: "it is full".into() }];
    let at = NOW + std::time::Duration::from_secs(5 * DAY);
    kept.volumes[0].breaks = Some(Breaks { day: 5, at, missing: ByteSize(400_000_000_000) });
    (4..7).for_each(|n| kept.cameras[n].affected_day = Some(5));
    facts.holds.as_mut().unwrap().due = 2;
    let machine = &mut facts.machine;
    (machine.system_disk, machine.load) = (Some((ByteSize(100_000_000_000), ByteSize(4_000_000_000))), Some((20.0, 4)));
    (machine.memory_available, machine.temperature) = (Some(ByteSize(900_000_000)), Some(91.0));
    machine.clock_offset = Some(-3.25);
    facts.clock_step = Some((ago(10 * MINUTE), 864_000.0));
    facts.failed_units = Some(["custodian-web.service".to_owned()].into());
    facts.certificates.insert("pull".into(), NOW + std::time::Duration::from_secs(5 * DAY));
    let endpoint = facts.endpoints.get_mut("push-1-gatus").unwrap();
    (endpoint.failing_since, endpoint.problem) = (Some(ago(HOUR)), Some("no answer in time".into()));
    (facts.witnessed, facts.verified.as_mut().unwrap().damaged) = (Some(ago(9 * DAY)), 4);
    let root = root(&mut facts);
    (root.drift, root.updates.as_mut().unwrap().security) = (vec!["a unit file of Phạm Văn Dũng was edited".into()], 3);
    root.disks.get_mut(&"a1".parse().unwrap()).unwrap().bad_sectors = Some(8);
    root.disks.get_mut(&"a2".parse().unwrap()).unwrap().present = false;
    let places = &mut root.backups.as_mut().unwrap().places;
    (places[0].newest, places[1].last_failed) = (Some(ago(8 * DAY)), true);
    facts
}

/// A day on which the recorder is dead, and root has not looked since.
fn dark_day() -> Facts {
    let mut facts = fixture::well(12);
    facts.at = NOW + std::time::Duration::from_secs(HOUR);
    (facts.status, facts.retention, facts.holds) = (Err(NoAnswer::Down), None, None);
    facts
}

#[test]
fn a_bad_day() {
    for (name, facts) in [("bad", bad_day()), ("dark", dark_day())] {
        let report = look(&facts, &[], &mut Steady::default(), 0).0;
        for lang in Lang::ALL {
            insta::assert_snapshot!(format!("{name}_day_{lang}"), page(&report, lang));
        }
    }
}

#[test]
fn a_good_day() {
    let report = look(&fixture::well(3), &[], &mut Steady::default(), 0).0;
    for lang in Lang::ALL {
        insta::assert_snapshot!(format!("good_day_{lang}"), page(&report, lang));
    }
}

#[test]
fn every_sentence_is_filled_and_every_trouble_says_what_to_do() {
    let zone = zone();
    for n in 0..troubles::ALL.len() {
        let (report, _) = look(&troubles::facts(&[n]), &[], &mut Steady::default(), 0);
        for lang in Lang::ALL {
            let words = Words::new(lang, &zone, &report.cameras);
            for f in &report.findings {
                let (sentence, to_do) = (words.sentence(f), words.to_do(f));
                assert!(!sentence.contains(['{', '}']) && !sentence.starts_with("health."), "{sentence}");
                assert_eq!(to_do.is_some(), f.level > Level::Ok, "{sentence}");
                assert!(!to_do.unwrap_or_default().contains(['{', '}']));
            }
        }
    }
    let over = Finding::new(Probe::Footage, Some(Subject::Camera(4)), Level::Ok, Code::OVER, NOW);
    let said = Words::new(Lang::En, &zone, &[]).sentence(&over);
    assert_eq!(said, "camera 4: what was noted under “Recording” is over.");
}

/// A site whose every name is made up, and what of it nobody else may hear.
fn made_up() -> impl Strategy<Value = (String, Vec<String>)> {
    let names = prop::collection::btree_set("[a-z]{3,7}-[0-9]{2}", 4..8);
    let name = "[A-ZĐ][a-zạếồữ]{3,7} [A-ZĐ][a-zạếồữ]{3,7}";
    (names, prop::collection::vec(name, 8), "[a-z]{5,9}", any::<[u8; 8]>()).prop_map(|(ids, names, person, octets)| {
        let mut text = String::from(
            "[site]\nname = \"Trường\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"a1\"\npath = \"/srv/a1\"\n\
             [area.gate]\nname = \"G\"\nkind = \"public\"\n[role.lead]\nname = \"L\"\nmay = [\"approve\"]\n",
        );
        let mut secret: Vec<String> = ids.iter().cloned().collect();
        let _ = write!(text, "[person.{person}]\nname = \"{}\"\nroles = [\"lead\"]\n", names[7]);
        secret.extend([person, names[7].clone()]);
        for (i, id) in ids.iter().enumerate() {
            // A name twice is refused.
            let name = format!("{} {i}", names[i]);
            let host = format!("10.{}.{}.{}", octets[i], octets[7], 10 + i);
            let _ = write!(text, "[camera.{id}]\nname = \"{name}\"\narea = \"gate\"\nmain = \"rtsp://{host}/1\"\n");
            secret.extend([name, host]);
        }
        (text, secret)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_masked_report_names_nobody((text, names) in made_up(), which in 0..3_usize) {
        let mut facts = fixture::of(std::sync::Arc::new(site::parse(&text, "site.toml").unwrap()));
        let why = names.join(", ");
        let why = || why.clone();
        let ids: Vec<_> = facts.numbers.keys().cloned().collect();
        ids.iter().take(which * 2).for_each(|id| newest(&mut facts, id.as_str(), StreamKind::Main, None));
        told(&mut facts).index_problem = Some(why());
        (told(&mut facts).volumes[0].healthy, told(&mut facts).volumes[0].problem) = (false, Some(why()));
        told(&mut facts).ledger.as_mut().unwrap().problem = Some(why());
        kept(&mut facts).suspended = vec![Suspension { volume: None, doubt: Doubt::Contents, why: why() }];
        facts.holds.as_mut().unwrap().own_copy = Some(why());
        root(&mut facts).drift = vec![why()];
        root(&mut facts).updates.as_mut().unwrap().offered = Some(why());
        facts.endpoints.get_mut("push-1-gatus").unwrap().failing_since = Some(ago(5));
        facts.endpoints.get_mut("push-1-gatus").unwrap().problem = Some(why());
        let silence = Silence {
            id: uuid::Uuid::nil(), from: ago(5), until: NOW + std::time::Duration::from_secs(5), probes: vec![Probe::Load],
            cameras: vec![], by: why(), reason: why(),
        };
        let (named, _) = look(&facts, std::slice::from_ref(&silence), &mut Steady::default(), 0);
        if which == 2 {
            facts.status = Err(NoAnswer::Broken(why()));
        }
        let (report, _) = look(&facts, &[silence], &mut Steady::default(), 0);
        let masked = report.masked();
        let told: String = Lang::ALL.into_iter().map(|lang| page(&masked, lang)).collect();
        let told = told + &serde_json::to_string(&masked).unwrap();
        for name in &names {
            prop_assert!(!told.contains(name.as_str()), "{} is named", name);
        }
        if which > 0 {
            prop_assert!(page(&named, Lang::En).contains(&names[ids.len() + 2]), "who may hear names hears them");
        }
    }
}
