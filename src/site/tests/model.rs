//! What a right file means.

use std::{os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::{BASE, EXAMPLE};
use crate::{
    site::{
        AlarmPlace, BackupPlace, LoadError, Matter, PushKind, Retention, SmtpSecurity, Transport, VolumePlace,
        WhenShort, load, parse,
        secrets::{self, SecretsError},
    },
    types::{ByteSize, Lang, SecretName, StreamKind, wire::health::Level},
};

#[test]
fn the_base_means_what_it_says() {
    let site = parse(BASE, "site.toml").expect("right");
    let [gate, class] = site.cameras() else { panic!("two cameras") };
    assert_eq!(site.timezone().iana_name(), Some("Asia/Ho_Chi_Minh"));
    assert_eq!(site.id().len(), 16);
    assert_eq!((gate.recorder.as_str(), class.recorder.as_str()), ("a", "b"), "the second by its volume");
    assert_eq!(gate.retention, Retention { min_days: Some(21), max_days: Some(25) });
    assert_eq!(class.retention, Retention { min_days: Some(20), max_days: Some(30) });
    assert_eq!((gate.transport, class.transport), (Transport::Udp, Transport::Tcp));
    assert_eq!((gate.priority, class.priority, gate.copies), (9, 5, 1));
    assert_eq!(gate.register.mac.as_deref(), Some("44:19:b6:0a:1c:2f"));
    assert_eq!(gate.register.department.as_deref(), Some("Tổ bảo vệ"), "the area's");
    let streams: Vec<_> = gate.streams().map(|(kind, url, record)| (kind, url.path().len(), record)).collect();
    assert_eq!(streams, [(StreamKind::Main, 23, true), (StreamKind::Sub, 23, true)]);
    assert_eq!(class.streams().map(|s| (s.0, s.2)).collect::<Vec<_>>(), [(StreamKind::Main, true)]);
    assert_eq!(site.volumes_of(&class.recorder)[0].place, VolumePlace::Path("/srv/footage".into()));
    assert_eq!(site.stated_size(), ByteSize(12_000_000_000_000));
    assert_eq!(site.when_short(), WhenShort::Refuse);
    let rule = site.approval(Matter::Authority).expect("the ordinary one");
    assert_eq!(rule.valid, Duration::from_hours(72));
    assert_eq!(site.health().push[0].interval, Duration::from_mins(1));
    assert_eq!(site.backup().expect("there").to, [BackupPlace::Directory("/mnt/nas".into())]);
    assert!(gate.scheduled(jiff::civil::date(2026, 11, 23).at(6, 0, 0, 0)));
    assert!(!gate.scheduled(jiff::civil::date(2026, 11, 22).at(12, 0, 0, 0)));
}

#[test]
fn health_means_what_it_says() {
    let health = |text: &str| parse(text, "site.toml").unwrap_or_else(|e| panic!("{e}")).health().clone();
    let base = health(BASE);
    assert_eq!(
        (base.every, base.push[0].interval, base.push[0].names),
        (Duration::from_secs(30), Duration::from_mins(1), false)
    );
    let [mail] = base.alarms.as_slice() else { panic!("one alarm") };
    assert_eq!((mail.from_level, mail.names, mail.language), (Level::Warn, true, Lang::Vi), "the site's language");
    let AlarmPlace::Email { to, server, port, security, login, .. } = &mail.to else { panic!("a mail") };
    assert_eq!(
        (to.as_slice(), server.as_str(), *port),
        (&["cntt@truong.example.vn".to_owned()][..], "mail.truong.example.vn", 465)
    );
    assert_eq!((*security, login.as_ref().map(|l| l.0.as_str())), (SmtpSecurity::Tls, Some("dau-ghi")));
    let pull = base.pull.expect("there");
    assert_eq!(
        (pull.listen.to_string().as_str(), pull.token_secret.is_some(), pull.client_ca),
        ("10.1.2.3:9464", true, None)
    );
    assert_eq!((base.vendor, base.proxy, base.ca), (None, None, None));
    // All that can be said, otherwise than it is by default.
    let ca =
        rcgen::KeyPair::generate().and_then(|key| rcgen::CertificateParams::new(vec![]).map(|p| p.self_signed(&key)));
    let ca = ca.and_then(|c| c).expect("a certificate").pem();
    let full = format!(
        r#"
        [health]
        interval = "10 s"
        proxy = "http://10.1.1.1:3128"
        ca = """
{ca}"""
        push = [
            {{ kind = "gatus", url_secret = "g", token_secret = "gt", interval = "10 s", names = true }},
            {{ kind = "http", url_secret = "h", token_secret = "gt" }},
        ]
        vendor = {{ listen = "[fd00::3]:9465", client_ca = """
{ca}""", tunnel = "wg-quick@vendor.service" }}
        [[health.alarm]]
        kind = "webhook"
        url_secret = "w"
        token_secret = "wt"
        from_level = "fail"
        names = true
        language = "en"
        [[health.alarm]]
        kind = "email"
        to = ["a@b.vn", "c@d.vn"]
        from = "e@f.vn"
        server = "[fd00::25]"
        security = "none"
        username = "u"
        password_secret = "p"
        [health.warn]
        newest = "20 s"
        temperature = 70
        verification = "50 d"
        load = 150
        [health.fail]
        newest = "20 s"
        certificate = "21 d"
        "#
    );
    let start = BASE.find("[[health.push]]").expect("there");
    let end = BASE.find("[backup]").expect("there");
    let site =
        parse(&format!("{}{full}{}", &BASE[..start], &BASE[end..]), "site.toml").unwrap_or_else(|e| panic!("{e}"));
    let h = site.health();
    assert_eq!(h.proxy.as_ref().map(url::Url::as_str), Some("http://10.1.1.1:3128/"));
    assert_eq!((h.every, h.ca.as_deref(), h.push.len()), (Duration::from_secs(10), Some(ca.as_str()), 2));
    assert_eq!((h.push[0].kind, h.push[0].names, h.push[1].kind), (PushKind::Gatus, true, PushKind::Http));
    let vendor = h.vendor.as_ref().expect("there");
    assert_eq!(
        (vendor.tunnel.as_deref(), vendor.client_ca.as_deref()),
        (Some("wg-quick@vendor.service"), Some(ca.as_str()))
    );
    assert_eq!((h.alarms[0].from_level, h.alarms[0].names, h.alarms[0].language), (Level::Fail, true, Lang::En));
    let AlarmPlace::Email { server, port, .. } = &h.alarms[1].to else { panic!("a mail") };
    assert_eq!((server.as_str(), *port), ("fd00::25", 25), "the usual port of unprotected mail");
    assert_eq!((h.warn.newest, h.warn.temperature, h.warn.load), (Duration::from_secs(20), 70, 150));
    assert_eq!(
        (h.warn.verification, h.fail.certificate),
        (Duration::from_hours(50 * 24), Duration::from_hours(21 * 24))
    );
    assert_eq!((h.warn.gaps, h.fail.gaps), (Duration::from_mins(10), Duration::from_hours(1)), "defaults");
    let names: Vec<_> = site.health_secrets().into_iter().map(SecretName::as_str).collect();
    assert_eq!(names, ["g", "gt", "h", "p", "w", "wt"], "and none of cameras and backups");
    assert_eq!(site.not_carried_out().iter().filter(|k| k.starts_with("health")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_camera_that_is_not_enabled_has_no_streams() {
    let text = BASE.replacen("volume = \"b1\"", "volume = \"b1\"\nenabled = false", 1);
    let site = parse(&text, "site.toml").expect("right");
    assert_eq!(site.cameras()[1].streams().count(), 0);
    let noon = jiff::civil::date(2026, 11, 26).at(12, 0, 0, 0);
    assert!(site.cameras()[1].scheduled(noon) && !site.cameras()[1].wanted_at(noon));
    assert_eq!(site.cameras_of(&site.cameras()[1].recorder).count(), 1);
}

#[test]
fn one_recorder_needs_no_mention() {
    let text = "[site]\nname = \"S\"\ntimezone = \"UTC\"\n[recorder.r]\nvolume = [{ name = \"v\", path = \"/v\" }]\n\
                [area.x]\nname = \"X\"\nkind = \"public\"\n[camera.c]\nname = \"C\"\narea = \"x\"\nmain = \"rtsp://h/1\"\n";
    let site = parse(text, "site.toml").expect("right");
    assert_eq!(site.cameras()[0].recorder.as_str(), "r");
    assert_eq!(site.retention(), Retention::default());
    assert_eq!(site.not_carried_out(), [""; 0]);
}

#[test]
fn the_example_is_school_a() {
    let site = parse(EXAMPLE, "site.example.toml").expect("right");
    assert_eq!((site.cameras().len(), site.recorders().len()), (64, 3));
    let tb =
        |recorder: &str| site.volumes_of(&recorder.parse().expect("an id")).iter().map(|v| v.size).collect::<Vec<_>>();
    assert_eq!(tb("a"), [Some(ByteSize(12_000_000_000_000))]);
    assert_eq!(tb("b"), [Some(ByteSize(12_000_000_000_000))]);
    assert_eq!(tb("c"), [Some(ByteSize(6_000_000_000_000))]);
    assert_eq!(site.retention().min_days, Some(20));
    // What each recorder has to keep fits on its disk.
    for recorder in site.recorders() {
        let bits: u64 = site.cameras_of(&recorder.id).filter_map(|c| c.bitrate).map(|b| b.0).sum();
        let room: u64 = recorder.volumes.iter().filter_map(|v| v.size).map(|s| s.0).sum();
        assert!(bits / 8 * 86_400 * 20 < room, "{}", recorder.id);
    }
}

/// The example with the tables that it only shows.
fn without_comment_signs(tables: &[&str]) -> crate::site::Site {
    let (mut text, mut shown) = (EXAMPLE.to_owned(), false);
    for line in EXAMPLE.lines() {
        let Some(line) = line.strip_prefix("#     ") else {
            shown = false;
            continue;
        };
        shown |= tables.iter().any(|table| line.starts_with(table));
        if shown {
            text.extend(["\n", line]);
        }
    }
    parse(&text, "site.example.toml").expect("right")
}

#[test]
fn what_the_example_shows_of_wires_is_right() {
    let site = without_comment_signs(&["[recorder.a.network]"]);
    let recorder = site.recorder(&"a".parse().expect("an id")).expect("it is there");
    let network = recorder.network.as_ref().expect("it is there");
    let address = |w: &Option<crate::site::Wire>| w.as_ref().and_then(|w| w.address).map(|a| a.to_string());
    assert_eq!(address(&network.school).as_deref(), Some("10.20.0.11/24"));
    assert_eq!(address(&network.cameras).as_deref(), Some("10.20.1.2/24"));
    assert_eq!(site.cameras_elsewhere(recorder), Vec::<&crate::types::CameraId>::new());
    assert!(!site.not_carried_out().iter().any(|key| key.contains("network")), "{:?}", site.not_carried_out());
}

#[test]
fn cameras_outside_of_the_nets_are_named() {
    let nets = |school: &str, cameras: &str| {
        let text = BASE.replacen(
            "control_room = true",
            &format!("network.school = {{ link = \"eth0\"{school} }}\nnetwork.cameras = {{ link = \"eth1\", address = \"{cameras}\" }}"),
            1,
        );
        let site = parse(&text, "site.toml").expect("right");
        let recorder = site.recorder(&"a".parse().expect("an id")).expect("it is there");
        site.cameras_elsewhere(recorder).into_iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(nets("", "10.20.1.2/24"), Vec::<String>::new());
    assert_eq!(nets("", "10.20.2.2/24"), ["gate-1"]);
    assert_eq!(nets(", address = \"10.20.1.2/24\"", "10.20.2.2/24"), Vec::<String>::new(), "the school's net counts");
    let none = parse(BASE, "site.toml").expect("right");
    assert!(none.recorders().all(|r| none.cameras_elsewhere(r).is_empty()), "nothing is said of nets");
}

/// Whoever takes the comment signs away has a file that is right.
#[test]
fn what_the_example_shows_of_health_is_right() {
    let site = without_comment_signs(&["[health", "[[health"]);
    let health = site.health();
    assert_eq!((health.push.len(), health.alarms.len()), (1, 1));
    assert!(health.pull.is_some() && health.vendor.is_some());
    let names: Vec<_> = site.health_secrets().into_iter().map(ToString::to_string).collect();
    assert_eq!(names, ["giam-sat", "kuma", "mail", "nha-cung-cap"]);
    assert!(!site.not_carried_out().iter().any(|key| key.contains("health")), "{:?}", site.not_carried_out());
}

#[test]
fn files_are_read_or_the_reason_is_said() {
    let missing = load(Path::new("/nonexistent/site.toml")).expect_err("not there");
    assert!(matches!(missing, LoadError::Read { .. }), "{missing}");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("site.toml");
    std::fs::write(&file, "x = 1").expect("writable");
    let refused = load(&file).expect_err("nothing of it is right").to_string();
    assert!(
        refused.contains("is refused: 5 error(s), the first: ") && refused.contains("site.toml:1:1: "),
        "{refused}"
    );
    std::fs::write(&file, [0xff, 0xfe]).expect("writable");
    assert!(matches!(load(&file), Err(LoadError::Read { .. })), "not UTF-8");
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secrets.toml");
    std::fs::write(&file, "[credentials.viewer]\nusername = \"u\"\npassword = \"hunter2\"\n").expect("writable");
    for (mode, fine) in [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false), (0o601, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("ours");
        let read = secrets::load(&file);
        assert_eq!(read.is_ok(), fine, "{mode:o}");
        assert_eq!(matches!(read, Err(SecretsError::Open { .. })), !fine, "{mode:o}");
    }
}
