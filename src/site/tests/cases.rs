//! One case for each kind of mistake: what is changed in the base, and on which line the error must stand.

use std::collections::BTreeSet;

use super::BASE;
use crate::{
    site::{Code, Report, parse, secrets},
    types::Lang,
};

/// What is replaced, by what, and what the line with the error begins with.
pub(super) type Case = (Code, &'static str, &'static str, &'static str);

pub(super) const CASES: &[Case] = &[
    (Code::Syntax, "min_days = 20", "min_days = = 20", "min_days = ="),
    (Code::DuplicateKey, "max_days = 30", "min_days = 30", "min_days = 30"),
    (Code::UnknownKey, "timezone =", "timezne =", "timezne"),
    (Code::UnknownKey, "control_room", "control-room", "control-room"),
    (Code::UnknownKey, "[update]", "[updates]", "[updates]"),
    (Code::UnknownKey, "max_days = 25", "max_day = 25", "retention = { max_day"),
    (Code::MissingKey, "name = \"Cổng chính\"\n", "", "[area.gate]"),
    (Code::MissingKey, "path = \"/mnt/nas\"", "disk = \"d\"", "to = "),
    (Code::WrongType, "min_days = 20", "min_days = \"20\"", "min_days"),
    (Code::WrongType, "min_days = 20", "min_days = 20.5", "min_days"),
    (Code::WrongType, "bought = 2025-07-15", "bought = \"2025-07-15\"", "bought"),
    (Code::WrongType, "control_room = true", "control_room = \"true\"", "control_room"),
    (Code::WrongType, "roles = [\"guard\", \"leadership\"]", "roles = \"guard\"", "roles"),
    (Code::WrongType, "[camera.class-1]", "[camera]\nx = 1\n[camera.class-1]", "x = 1"),
    (Code::BadText, "name = \"Cổng chính\"", "name = \"  \"", "name = \"  \""),
    (Code::BadText, "name = \"Cổng chính\"", "name = \"a\\nb\"", "name = \"a"),
    (Code::BadId, "[camera.gate-1]", "[camera.\"Cổng 1\"]", "[camera.\"Cổng"),
    (Code::BadId, "volume = \"b1\"", "volume = \"B1\"", "volume = \"B1\""),
    (Code::BadChoice, "kind = \"public\"", "kind = \"publik\"", "kind = \"publik\""),
    (Code::BadChoice, "[\"live\", \"duty\"]", "[\"live\", \"dute\"]", "may = [\"live\""),
    (Code::BadNumber, "min_days = 20", "min_days = 0", "min_days = 0"),
    (Code::BadNumber, "min_days = 20", "min_days = -20", "min_days = -20"),
    (Code::BadNumber, "priority = 9", "priority = 10", "priority"),
    (Code::BadSize, "size = \"12 TB\"", "size = \"-12 TB\"", "size"),
    (Code::BadRate, "2 Mbit/s", "2 MB/s", "bitrate"),
    (Code::BadDuration, "3 d", "3 days", "valid"),
    (Code::BadTimezone, "Asia/Ho_Chi_Minh", "Asia/Hanoi", "timezone"),
    (Code::BadUrl, "rtsp://10.20.1.12/1", "rtsp://10.20.1.12:99999/1", "main"),
    (Code::UrlScheme, "rtsp://10.20.1.12/1", "rtsps://10.20.1.12/1", "main"),
    (Code::UrlPassword, "rtsp://10.20.1.12/1", "rtsp://u:p@10.20.1.12/1", "main"),
    (Code::UrlHost, "rtsp://10.20.1.12/1", "rtsp:///1", "main"),
    (Code::BadDisk, "ata-WDC_WD120EFBX_1234", "/dev/sda", "disk"),
    (Code::BadPath, "/srv/footage", "srv/../footage", "path"),
    (Code::BadMac, "44-19-B6-0A-1C-2F", "44-19-B6-0A-1C", "mac"),
    (Code::BadSchedule, "mon-fri 06:00-18:00", "mon-fri 6-18", "schedule"),
    (Code::BadClock, "02:30", "2:30", "at ="),
    (Code::EmptyList, "[\"main\", \"sub\"]", "[]", "record"),
    (
        Code::EmptyList,
        "recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]",
        "recipients = []",
        "recipients",
    ),
    (Code::Twice, "[area.gate]", "[[recorder.b.volume]]\nname = \"a1\"\npath = \"/x\"\n[area.gate]", "name = \"a1\""),
    (Code::Twice, "path = \"/srv/footage\"", "disk = \"ata-WDC_WD120EFBX_1234\"\nsize = \"6 TB\"", "disk"),
    (Code::Twice, "rtsp://10.20.1.12/1", "rtsp://10.20.1.11/Streaming/Channels/102", "main"),
    (Code::Twice, "[\"main\", \"sub\"]", "[\"main\", \"main\"]", "record"),
    (Code::Twice, "volume = \"b1\"", "volume = \"b1\"\nserial = \"S1\"", "serial"),
    (Code::DiskOrPath, "path = \"/srv/footage\"", "path = \"/srv/footage\"\ndisk = \"x\"\nsize = \"1 TB\"", "path"),
    (Code::DiskOrPath, "path = \"/srv/footage\"", "", "[[recorder.b.volume]]"),
    (Code::NoSize, "size = \"12 TB\"", "", "disk"),
    (Code::NoVolume, "[area.gate]", "[recorder.c]\nvolume = []\n[area.gate]", "volume = []"),
    (Code::NoSuch, "area = \"gate\"", "area = \"gat\"", "area = \"gat\""),
    (Code::NoSuch, "recorder = \"a\"", "recorder = \"c\"", "recorder = \"c\""),
    (Code::NoSuch, "volume = \"b1\"", "volume = \"b2\"", "volume = \"b2\""),
    (Code::NoSuch, "responsible = \"dung\"", "responsible = \"hung\"", "responsible"),
    (Code::NoSuch, "roles = [\"guard\", \"leadership\"]", "roles = [\"leadership\", \"gard\"]", "roles"),
    (Code::NoSuch, "areas = [\"gate\"]", "areas = [\"yard\"]", "areas"),
    (Code::NoSuch, "by = [\"leadership\"]", "by = [\"security\"]", "by ="),
    (Code::RecorderNeeded, "volume = \"b1\"", "", "[camera.class-1]"),
    (Code::VolumeElsewhere, "volume = \"a1\"", "volume = \"b1\"", "volume = \"b1\""),
    (Code::TwoVolumesNeeded, "volume = \"b1\"", "volume = \"b1\"\ncopies = 2", "copies = 2"),
    (Code::AreaRefused, "kind = \"public\"", "kind = \"toilet\"", "area = \"gate\""),
    (Code::ReasonNeeded, "reason =", "sign =", "[area.class]"),
    (Code::DaysOrder, "max_days = 30", "max_days = 19", "max_days = 19"),
    (Code::DaysOrder, "reason =", "retention = { max_days = 19 }\nreason =", "retention = { max_days = 19"),
    (Code::DaysOrder, "min_days = 21", "min_days = 26", "retention = { min_days = 26"),
    (Code::StillThere, "cong-1", "class-1", "previously"),
    (Code::NoSub, "sub = \"rtsp://10.20.1.11/Streaming/Channels/102\"", "", "record"),
    (Code::SameAsMain, "Channels/102", "Channels/101", "sub"),
    (Code::ControlRooms, "[recorder.b]", "[recorder.b]\ncontrol_room = true", "control_room = true"),
    (Code::BadRecipient, "sfn9aqmcac8p", "sfn9aqmcac8q", "recipients"),
    (
        Code::SecretKey,
        "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        "AGE-SECRET-KEY-1XYZ",
        "recipients",
    ),
    (
        Code::Twice,
        "\"age1ql3",
        "\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\", \"age1ql3",
        "recipients",
    ),
    (Code::BackupInside, "path = \"/mnt/nas\"", "path = \"/srv/footage/backup\"", "to ="),
    (Code::BackupInside, "path = \"/mnt/nas\"", "path = \"/var/lib/custodian/volumes/a1/backup\"", "to ="),
    (
        Code::BackupInside,
        "kind = \"directory\", path = \"/mnt/nas\"",
        "kind = \"disk\", disk = \"ata-WDC_WD120EFBX_1234\"",
        "to =",
    ),
    (
        Code::Twice,
        "{ kind = \"directory\", path = \"/mnt/nas\" }",
        "[{ kind = \"directory\", path = \"/mnt/nas\" }, { kind = \"directory\", path = \"/mnt/nas/\" }]",
        "to =",
    ),
    (Code::NobodyHolds, "[\"guard\", \"leadership\"]", "[\"guard\"]", "by ="),
    (Code::LengthRange, "url_secret = \"kuma\"", "url_secret = \"kuma\"\ninterval = \"9 s\"", "interval"),
    (Code::LengthRange, "url_secret = \"kuma\"", "url_secret = \"kuma\"\ninterval = \"25 h\"", "interval"),
    (Code::LengthRange, "[[health.push]]", "[health]\ninterval = \"11 min\"\n[[health.push]]", "interval"),
    (Code::LengthRange, "[health.pull]", "[health.warn]\nnewest = \"5 s\"\n[health.pull]", "newest"),
    (Code::LengthRange, "[health.pull]", "[health.fail]\ngaps = \"2 d\"\n[health.pull]", "gaps"),
    (Code::BadDuration, "[health.pull]", "[health.fail]\ngaps = \"2 days\"\n[health.pull]", "gaps"),
    (Code::BadNumber, "[health.pull]", "[health.warn]\nmemory = 101\n[health.pull]", "memory"),
    (
        Code::BadLink,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth*\" }",
        "network.school",
    ),
    (
        Code::BadNumber,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", vlan = 4095 }",
        "network.school",
    ),
    (
        Code::BadCidr,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", address = \"10.20.0.11\" }",
        "network.school",
    ),
    (
        Code::BadCidr,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", address = \"10.20.0.0/24\" }",
        "network.school",
    ),
    (
        Code::BadIp,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", dns = [\"dns.vn\"] }",
        "network.school",
    ),
    (
        Code::BadTimeServer,
        "control_room = true",
        "control_room = true\nnetwork.ntp = [\"10.20.0.1:123\"]",
        "network.ntp",
    ),
    (Code::EmptyList, "control_room = true", "control_room = true\nnetwork.ntp = []", "network.ntp"),
    (
        Code::MissingKey,
        "control_room = true",
        "control_room = true\nnetwork.cameras = { link = \"eth0\" }",
        "network.cameras",
    ),
    (
        Code::SameWire,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\" }\nnetwork.cameras = { link = \"eth0\", address = \"10.20.1.2/24\" }",
        "network.cameras",
    ),
    (
        Code::SameWire,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", vlan = 20 }\nnetwork.cameras = { link = \"eth0\", vlan = 20, address = \"10.20.1.2/24\" }",
        "network.cameras",
    ),
    (
        Code::NetsOverlap,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", address = \"10.20.0.11/16\" }\nnetwork.cameras = { link = \"eth1\", address = \"10.20.1.2/24\" }",
        "network.cameras",
    ),
    (
        Code::GatewayOutside,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", address = \"10.20.0.11/24\", gateway = \"10.20.1.1\" }",
        "network.school",
    ),
    (
        Code::GatewayOutside,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", address = \"10.20.0.11/24\", gateway = \"10.20.0.11\" }",
        "network.school",
    ),
    (
        Code::GatewayAlone,
        "control_room = true",
        "control_room = true\nnetwork.school = { link = \"eth0\", gateway = \"10.20.1.1\" }",
        "network.school",
    ),
    (
        Code::Twice,
        "control_room = true",
        "network.school = { link = \"eth0\", address = \"10.20.0.11/24\" }\n[recorder.c]\n\
         network.school = { link = \"eth1\", address = \"10.20.0.11/24\" }\n[[recorder.c.volume]]\nname = \"c1\"\npath = \"/c\"",
        "network.school = { link = \"eth1\"",
    ),
    (Code::BadListen, "10.1.2.3:9464", "10.1.2.3", "listen"),
    (Code::BadListen, "10.1.2.3:9464", "recorder.lan:9464", "listen"),
    (Code::BadMail, "cntt@truong.example.vn", "cntt", "to ="),
    (Code::BadMail, "dau-ghi@truong.example.vn", "Đầu ghi <x@y.vn>", "from ="),
    (Code::BadHost, "\"mail.truong.example.vn\"", "\"smtp://mail.truong.example.vn\"", "server ="),
    (Code::BadFolderUrl, "[update]", "[update]\nurl = \"http://u:p@h/\"", "url"),
    (Code::BadProxy, "[[health.push]]", "[health]\nproxy = \"http://u:p@h:3128\"\n[[health.push]]", "proxy"),
    (Code::BadCertificates, "[[health.push]]", "[health]\nca = \"/etc/ssl/ca.pem\"\n[[health.push]]", "ca ="),
    (Code::PrivateKey, "[[health.push]]", "[health]\nca = \"-----BEGIN PRIVATE KEY-----\"\n[[health.push]]", "ca ="),
    (
        Code::BadUnit,
        "[health.pull]",
        "[health.vendor]\nlisten = \"10.9.0.2:1\"\ntoken_secret = \"v\"\ntunnel = \"custodian-record.service\"\n[health.pull]",
        "tunnel",
    ),
    (Code::NotFor, "url_secret = \"kuma\"", "url_secret = \"kuma\"\ntoken_secret = \"t\"", "token_secret"),
    (Code::NotFor, "from = ", "url_secret = \"hook\"\nfrom = ", "url_secret"),
    (
        Code::NotFor,
        "[health.pull]",
        "[[health.alarm]]\nkind = \"webhook\"\nurl_secret = \"hook\"\nsecurity = \"tls\"\n[health.pull]",
        "security",
    ),
    (Code::DoorOpen, "token_secret = \"prometheus\"", "", "listen = \"10.1.2.3"),
    (Code::PlainPassword, "username = ", "security = \"none\"\nusername = ", "security"),
    (Code::FailMilder, "[health.pull]", "[health.warn]\nnewest = \"3 min\"\n[health.pull]", "newest"),
    (Code::FailMilder, "[health.pull]", "[health.fail]\nforecast = \"8 d\"\n[health.pull]", "forecast"),
    (
        Code::FailMilder,
        "[health.pull]",
        "[health.warn]\nsystem_disk = 90\n[health.fail]\nsystem_disk = 89\n[health.pull]",
        "system_disk = 89",
    ),
    (Code::MissingKey, "\"uptime-kuma\"", "\"gatus\"", "[[health.push]]"),
    (Code::MissingKey, "server = \"mail.truong.example.vn\"", "", "[[health.alarm]]"),
    (Code::MissingKey, "password_secret = \"mail\"", "", "username"),
    (Code::MissingKey, "username = \"dau-ghi\"", "", "password_secret"),
    (Code::MissingKey, "[health.pull]", "[[health.alarm]]\nkind = \"webhook\"\n[health.pull]", "[[health.alarm]]"),
    (Code::EmptyList, "to = [\"cntt@truong.example.vn\"]", "to = []", "to ="),
    (Code::Twice, "to = [\"cntt", "to = [\"cntt@truong.example.vn\", \"cntt", "to ="),
    (
        Code::Twice,
        "[[health.alarm]]",
        "[[health.push]]\nkind = \"http\"\nurl_secret = \"kuma\" # twice\n[[health.alarm]]",
        "url_secret = \"kuma\" # twice",
    ),
    (
        Code::Twice,
        "[health.pull]",
        "[health.vendor]\nlisten = \"0.0.0.0:9464\"\ntoken_secret = \"vendor\"\n[health.pull]",
        "listen = \"0.0.0.0",
    ),
];

/// The base with a case's change. What is replaced stands in it once, or its first occurrence is meant.
pub(super) fn changed((_, old, new, _): &Case) -> String {
    assert!(BASE.contains(old), "{old} is not in the base");
    BASE.replacen(old, new, 1)
}

fn reports(text: &str) -> Vec<Report> {
    parse(text, "site.toml").map_or_else(|e| e.reports(Lang::En), |_| Vec::new())
}

#[test]
fn the_base_is_right() {
    assert_eq!(reports(BASE), []);
}

#[test]
fn each_mistake_is_found_where_it_is_and_brings_no_other() {
    let mut wrong = Vec::new();
    for case in CASES {
        let (code, _, new, line) = case;
        let text = changed(case);
        let found: Vec<(&str, &str)> =
            reports(&text).iter().map(|r| (r.code, text.lines().nth(r.line - 1).unwrap_or_default())).collect();
        if !matches!(found.as_slice(), [(c, there)] if *c == code.as_str() && there.starts_with(line)) {
            wrong.push(format!("{code:?} by {new:?}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let elsewhere = [
        Code::NoCamera,
        Code::NoRecorder,
        Code::NoCredentials,
        Code::NoSecret,
        Code::BadS3,
        Code::BadAddress,
        Code::BadToken,
    ];
    let tested: BTreeSet<Code> = CASES.iter().map(|c| c.0).chain(elsewhere).collect();
    assert_eq!(Code::ALL.iter().copied().filter(|c| !tested.contains(c)).collect::<Vec<_>>(), []);
}

#[test]
fn an_empty_file_misses_everything() {
    let codes: Vec<&str> = reports("").iter().map(|r| r.code).collect();
    assert_eq!(codes, ["missing-key", "missing-key", "no-camera", "no-recorder"]);
    let text = "[site]\nname = \"S\"\ntimezone = \"UTC\"\n[recorder]\n[area]\n[camera]\n";
    let codes: Vec<(&str, usize)> = reports(text).iter().map(|r| (r.code, r.line)).collect();
    assert_eq!(codes, [("no-recorder", 4), ("no-camera", 6)]);
}

#[test]
fn all_mistakes_come_at_once() {
    // One case in each part of the file, together.
    let all = [
        ("language = \"vi\"", "language = \"vn\""),
        ("kind = \"public\"", "kind = \"publik\""),
        ("size = \"12 TB\"", "size = \"12 tb\""),
        ("area = \"class\"", "area = \"clas\""),
        ("credentials =", "credential ="),
        ("by = [\"leadership\"]", "by = [\"boss\"]"),
    ];
    let text = all.iter().fold(BASE.to_owned(), |text, (old, new)| text.replacen(old, new, 1));
    let codes: Vec<&str> = reports(&text).iter().map(|r| r.code).collect();
    assert_eq!(codes, ["bad-choice", "bad-size", "bad-choice", "unknown-key", "no-such", "no-such"]);
}

#[test]
fn what_was_meant_is_suggested() {
    for (old, new, meant) in [
        ("timezone =", "time_zone =", "timezone"),
        ("control_room", "control-room", "control_room"),
        ("Asia/Ho_Chi_Minh", "Asia/Ho_Chi_Min", "Asia/Ho_Chi_Minh"),
        ("Asia/Ho_Chi_Minh", "Ho Chi Minh", "Asia/Ho_Chi_Minh"),
        ("Asia/Ho_Chi_Minh", "Shanghai", "Asia/Shanghai"),
        ("\"public\"", "\"Public\"", "public"),
        ("ata-WDC_WD120EFBX_1234", "/dev/disk/by-id/ata-WDC_WD120EFBX_1234", "ata-WDC_WD120EFBX_1234"),
        ("area = \"class\"", "area = \"clas\"", "class"),
    ] {
        let found = reports(&BASE.replacen(old, new, 1));
        assert_eq!(found.len(), 1, "{new}: {found:#?}");
        assert_eq!(found[0].help, format!("Did you mean {meant}?"), "{new}");
    }
}

#[test]
fn two_places_are_both_named() {
    let errors =
        parse(&BASE.replace("name = \"b1\"", "name = \"a1\"").replace("volume = \"b1\"", "volume = \"a1\""), "s");
    let reports = errors.expect_err("a volume twice").reports(Lang::En);
    assert_eq!((reports[0].code, reports[0].line, reports[0].other), ("twice", 20, Some((14, 8))));
}

#[test]
fn after_broken_syntax_nothing_is_missed_that_may_be_there() {
    let text = BASE.replacen("[area.gate]", "[area.gate", 1).replacen("2 Mbit/s", "2 MB/s", 1);
    let codes: Vec<&str> = reports(&text).iter().map(|r| r.code).collect();
    assert!(codes.contains(&"syntax") && codes.contains(&"bad-rate"), "{codes:?}");
    assert!(!codes.contains(&"no-such") && !codes.contains(&"missing-key"), "{codes:?}");
}

/// All that the base relies on.
const SECRETS: &str = "[credentials.viewer]\nusername = \"u\"\npassword = \"p\"\n[secrets]\nkuma = \"https://x\"\n\
                       mail = \"hunter1\"\nprometheus = \"0123456789abcdef\"\n";

#[test]
fn what_a_site_relies_on_must_be_in_the_secrets() {
    let site = parse(BASE, "site.toml").expect("the base is right");
    let secrets = secrets::parse(SECRETS, "secrets.toml").expect("right");
    assert!(secrets.cover(&site).is_ok());
    let other = "[credentials.viewers]\nusername = \"u\"\npassword = \"p\"\n";
    let errors = secrets::parse(other, "secrets.toml").expect("right").cover(&site).expect_err("two are missing");
    let found: Vec<_> = errors.reports(Lang::En).into_iter().map(|r| (r.code, r.key, r.help)).collect();
    assert_eq!(found[0], ("no-credentials", "camera.gate-1.credentials".into(), "Did you mean viewers?".into()));
    assert_eq!((found[1].0, found[1].1.as_str()), ("no-secret", "health.push[0].url_secret"));
}

#[test]
fn the_address_of_a_store_is_looked_at_where_it_is_relied_on() {
    let place = "{ kind = \"s3\", url_secret = \"offsite\" }";
    let site =
        parse(&BASE.replace("{ kind = \"directory\", path = \"/mnt/nas\" }", place), "site.toml").expect("right");
    let with = |address: &str| {
        let all = format!("{SECRETS}offsite = \"{address}\"\n");
        secrets::parse(&all, "secrets.toml").expect("right").cover(&site)
    };
    assert!(with("https://key:hunter2@s3.example.org/school").is_ok());
    let errors = with("https://hunter2@s3.example.org/school").expect_err("no secret");
    let report = errors.reports(Lang::En).remove(0);
    assert_eq!((report.code, report.key.as_str()), ("bad-s3", "backup.to[0].url_secret"));
    assert!(report.message.contains("no KEY:SECRET@"), "{}", report.message);
    assert!(!format!("{errors} {}", errors.render(Lang::En, false)).contains("hunter2"));
}

#[test]
fn what_health_is_given_is_looked_at_where_it_is_relied_on() {
    let site = parse(BASE, "site.toml").expect("right");
    let with = |old: &str, new: &str| {
        assert!(SECRETS.contains(old));
        secrets::parse(&SECRETS.replace(old, new), "secrets.toml").expect("right").cover(&site)
    };
    assert!(with("https://x", "http://[fd00::1]:3001/api/push/hunter2").is_ok());
    for (old, new, code, key, says) in [
        ("https://x", "hunter2.example.vn", "bad-address", "health.push[0].url_secret", "no address"),
        ("https://x", "ftp://hunter2/", "bad-address", "health.push[0].url_secret", "neither https"),
        ("0123456789abcdef", "hunter2", "bad-token", "health.pull.token_secret", "shorter than 16"),
        ("0123456789abcdef", "hunter2 hunter2 hunter2", "bad-token", "health.pull.token_secret", "a space"),
    ] {
        let errors = with(old, new).expect_err(new);
        let report = errors.reports(Lang::En).remove(0);
        assert_eq!((report.code, report.key.as_str()), (code, key));
        assert!(report.message.contains(says), "{}", report.message);
        assert!(!format!("{errors} {}", errors.render(Lang::En, false)).contains("hunter2"));
    }
}

#[test]
fn one_table_without_a_list_is_told_once() {
    let text = BASE.replacen(
        "[[health.push]]\nkind = \"uptime-kuma\"",
        "[health.push]\nkind = \"gatus\"\ntoken_secret = 3",
        1,
    );
    assert_eq!(reports(&text).iter().map(|r| r.code).collect::<Vec<_>>(), ["wrong-type"]);
}
