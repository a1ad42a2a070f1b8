//! `custodian check` and `custodian schema` as a user meets them, and the fuzz target's body on mutated files.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use proptest::prelude::*;

#[path = "../fuzz/bodies/site.rs"]
mod body;

const EXAMPLE: &str = include_str!("../../image/site.example.toml");

/// A file with a mistake in each part.
const WRONG: &str = r#"[site]
name = "Trường mầm non Hoa Hướng Dương"
timezne = "Asia/Ho_Chi_Minh"
language = "zh"

[retention]
min_days = 40
max_days = 30

[recorder.a]
[[recorder.a.volume]]
name = "a1"
disk = "/dev/disk/by-id/ata-WDC_WD120EFBX_1234"
size = "12 tb"

[area.gate]
name = "Cổng chính"
kind = "publik"

[area.wc]
name = "WC"
kind = "toilet"

[camera.gate-1]
name = "Cổng chính 1"
area = "gat"
main = "rtsp://admin:hunter2@10.20.1.11/Streaming/Channels/101"
bitrate = "2 MB/s"

[camera.wc]
name = "大门 WC"
area = "wc"
main = "rtsp://10.20.1.12/1"
record = ["main", "sub"]
"#;

fn custodian(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_custodian"))
        .args(args)
        .current_dir(dir)
        .env_remove("LANG")
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn directory(site: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), site).unwrap();
    dir
}

#[test]
fn check_says_everything_at_once_in_each_language() {
    let dir = directory(WRONG);
    for lang in ["en", "vi", "zh"] {
        let output = custodian(dir.path(), &["check", "--lang", lang]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), String::new()));
        insta::assert_snapshot!(format!("check_{lang}"), text(&output.stdout));
    }
    // Without --lang in the site's own.
    let output = custodian(dir.path(), &["check"]);
    assert_eq!(output.stdout, custodian(dir.path(), &["check", "--lang", "zh"]).stdout);
}

#[test]
fn check_speaks_to_machines() {
    let dir = directory(WRONG);
    let output = custodian(dir.path(), &["check", "--json", "--lang", "en"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Whether a JSON object keeps its order here is up to the other test libraries.
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!("check_json", answer) });
}

#[test]
fn the_example_is_in_order() {
    let dir = directory(EXAMPLE);
    let output = custodian(dir.path(), &["check"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    insta::assert_snapshot!("check_example", text(&output.stdout));
    let output = custodian(dir.path(), &["check", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["ok"], &answer["cameras"]), (&true.into(), &64.into()));
}

#[test]
fn check_reads_the_secrets_too() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory(EXAMPLE);
    let file = dir.path().join("secrets.toml");
    fs::write(&file, "[credentials.xem]\nusername = \"viewer\"\npassword = \"hunter2\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let check = |args: &[&str]| {
        custodian(dir.path(), &[&["check", "--secrets", "secrets.toml", "--lang", "en"], args].concat())
    };
    assert_eq!(check(&[]).status.code(), Some(0));
    fs::write(&file, "[credentials.xen]\nusername = \"viewer\"\npassword = \"hunter2\"\n").unwrap();
    let output = check(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).ends_with("\n1 error; nothing was changed.\n"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("Did you mean xen?") && !text(&output.stdout).contains("hunter2"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let output = check(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("secrets.toml has mode 0644: others may read"), "{}", text(&output.stderr));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = custodian(dir.path(), &["check", "--site", "school.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("school.toml cannot be read: No such file"), "{}", text(&output.stderr));
}

#[test]
fn the_schema_is_for_editors() {
    let dir = tempfile::tempdir().unwrap();
    let output = custodian(dir.path(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["site"]["required"], serde_json::json!(["name", "timezone"]));
    assert!(!text(&output.stdout).contains("\"order\""));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_can_be_read(at in any::<prop::sample::Index>(), remove in 0..60_usize, new in "[\\[\\]{}=.,#'\"\\\\\n\r\t a-z0-9\u{1b}]{0,12}") {
        let chars: Vec<char> = WRONG.chars().collect();
        let at = at.index(chars.len());
        let rest = chars.iter().skip(at + remove);
        let mutated: String = chars[..at].iter().copied().chain(new.chars()).chain(rest.copied()).collect();
        body::exercise(mutated.as_bytes());
    }
}
