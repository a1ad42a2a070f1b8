use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::Path,
    sync::Mutex,
    time::Duration,
};

use super::*;
use crate::{
    disks::{Secret, StateKey, Unlocking, open_state},
    inventory::{PARTITION_TYPE, Roots, SEAL, parted, survey},
    sys::{FakeCommands, Output},
};

const SIZE: u64 = 8_000_000_000;

/// A machine with one disk `sda` of 8 GB, and what lsblk and blkid say of it and its parts.
fn machine(lsblk: &str, size: u64, blkid: impl Fn(&str) -> &'static str + Send + Sync) -> (Survey, Vec<Parted>) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("by-id")).unwrap();
    File::create(at("sda")).unwrap().set_len(size).unwrap();
    symlink(at("sda"), at("by-id").join("ata-1")).unwrap();
    let json = format!(
        r#"{{"blockdevices":[{{"name":"sda","kname":"sda","type":"disk","size":{size},"serial":"1","model":"M"{lsblk}}}]}}"#
    );
    let commands = FakeCommands::new(move |program, args| match program {
        "lsblk" => Ok(Output { code: Some(0), stdout: json.clone().into(), stderr: String::new() }),
        "blkid" => {
            let said = blkid(Path::new(args[3]).file_name().unwrap().to_str().unwrap());
            let code = if said.is_empty() { 2 } else { 0 };
            Ok(Output { code: Some(code), stdout: said.into(), stderr: String::new() })
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    });
    let state = Path::new("/var/lib/custodian");
    let roots = Roots {
        dev: dir.path().to_owned(),
        by_id: at("by-id"),
        sys: at("sys"),
        ..Roots::new(state, &state.join("volumes"))
    };
    (survey(&commands, &roots), parted(&commands, dir.path()).unwrap())
}

fn judged(lsblk: &str, size: u64, blkid: fn(&str) -> &'static str) -> Result<Facts, Unfit> {
    judge_install(&machine(lsblk, size, blkid).0, "ata-1", None)
}

#[test]
fn a_disk_with_footage_or_in_use_is_never_the_systems() {
    assert!(judged("", SIZE, |_| "").is_ok());
    assert_eq!(judged("", SIZE / 2, |_| ""), Err(Unfit::TooSmall { size: ByteSize(SIZE / 2) }));
    assert_eq!(judged(r#","rm":true"#, SIZE, |_| ""), Err(Unfit::Removable));
    assert_eq!(judged(r#","tran":"usb""#, SIZE, |_| ""), Err(Unfit::Removable));
    assert_eq!(judged(r#","ro":true"#, SIZE, |_| ""), Err(Refusal::ReadOnly.into()));
    assert_eq!(judged(r#","mountpoints":["/"]"#, SIZE, |_| ""), Err(Refusal::System.into()));
    assert!(matches!(judged(r#","mountpoints":["/mnt"]"#, SIZE, |_| ""), Err(Unfit::Refused(Refusal::Mounted { .. }))));
    for named in [Unfit::Named { volume: "a1".parse().unwrap() }, Unfit::Backups] {
        assert_eq!(judge_install(&machine("", SIZE, |_| "").0, "ata-1", Some(&named)), Err(named));
    }
    // Somebody's data may be lost, if they say so; footage never: not sealed, not unfinished, not beside other partitions.
    let one = r#","children":[{"name":"sda1","kname":"sda1","type":"part","size":1000}]"#;
    let two = r#","children":[{"name":"sda1","kname":"sda1","type":"part","size":1000},
        {"name":"sda2","kname":"sda2","type":"part","size":1000}]"#;
    assert!(judged(one, SIZE, |d| if d == "sda1" { "ID_FS_TYPE=ntfs\n" } else { "ID_PART_TABLE_TYPE=gpt\n" }).is_ok());
    let ours = |_: &str| -> &'static str {
        format!(
            "ID_FS_TYPE=xfs\nID_FS_LABEL={SEAL}\nID_PART_ENTRY_TYPE={PARTITION_TYPE}\nID_PART_ENTRY_NAME=a1@school\n"
        )
        .leak()
    };
    let unfinished =
        |_: &str| -> &'static str { format!("ID_FS_TYPE=xfs\nID_PART_ENTRY_TYPE={PARTITION_TYPE}\n").leak() };
    assert!(matches!(judged(one, SIZE, ours), Err(Unfit::Footage { .. })));
    assert!(matches!(judged(two, SIZE, ours), Err(Unfit::Volume { .. })));
    assert!(matches!(judged(one, SIZE, unfinished), Err(Unfit::Volume { .. })));
}

#[test]
fn a_token_is_for_these_facts_and_this_verb() {
    let (survey, _) = machine("", SIZE, |_| "");
    let facts = judge_install(&survey, "ata-1", None).unwrap();
    assert!(clear_install(&survey, "ata-1", None, &facts.token(Verb::Install), "1").is_ok());
    for verb in [Verb::Init, Verb::Erase] {
        let e = clear_install(&survey, "ata-1", None, &facts.token(verb), "1").unwrap_err();
        assert_eq!(e, Unfit::Refused(Refusal::Token(TokenError::OtherVerb)));
    }
}

#[test]
fn what_was_begun_is_known_by_its_token_and_version() {
    let token: Token = "etjx-5zwc-n8fr-6g4d".parse().unwrap();
    let labels = Table::new("1", &token).labels();
    let parts: Vec<String> =
        (1..=PARTS).map(|n| format!(r#"{{"name":"sda{n}","kname":"sda{n}","type":"part","size":1000}}"#)).collect();
    let lsblk = format!(r#","children":[{}]"#, parts.join(","));
    let id = Table::id(&token);
    let (survey, parted) = machine(&lsblk, SIZE, move |device| {
        let Some(n) = device.strip_prefix("sda").and_then(|n| n.parse::<usize>().ok()) else {
            return "ID_PART_TABLE_TYPE=gpt\n";
        };
        format!("ID_PART_ENTRY_NAME={}\nID_PART_ENTRY_UUID={id}\n", labels[n - 1]).leak()
    });
    let resumed = |token: &Token, version: &str| resume(&survey, &parted, "ata-1", None, token, version);
    let begun = resumed(&token, "1").unwrap().unwrap();
    assert!(!begun.anew, "nobody has read what is on it now");
    assert!(begun.disk.state().ends_with("sda6") && begun.disk.esp().ends_with("sda1"));
    assert_eq!(resumed(&token, "2").unwrap(), None, "another version is installed anew");
    let other: Token = "etjx-5zwc-n8fr-6g4e".parse().unwrap();
    assert!(matches!(resumed(&other, "1"), Err(Unfit::Refused(Refusal::Token(_)))));
    let now = judge_install(&survey, "ata-1", None).unwrap().token(Verb::Install);
    assert!(resumed(&now, "1").unwrap().unwrap().anew);
}

/// Remembers command lines and inputs; fails at the nth.
struct Recorder {
    lines: Mutex<Vec<(String, String)>>,
    fail_at: usize,
}

impl Commands for Recorder {
    fn run(&self, program: &str, args: &[&str], input: &[u8], _: Duration) -> io::Result<Output> {
        let mut lines = self.lines.lock().unwrap();
        lines.push((format!("{program} {}", args.join(" ")), String::from_utf8_lossy(input).into_owned()));
        let code = i32::from(lines.len() > self.fail_at);
        Ok(Output { code: Some(code), stdout: Vec::new(), stderr: "refused".into() })
    }
}

fn state_made(unlocking: Unlocking, fail_at: usize) -> (Result<OpenState, DiskError>, Vec<(String, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let commands = Recorder { lines: Mutex::default(), fail_at };
    let order = Order { unlocking, run: dir.path().to_owned() };
    let made = make_state(&commands, &LaidDisk { device: "/dev/sda".into() }, &order);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing temporary stays");
    let at = format!("{}/custodian-key-", dir.path().display());
    let neat = |line: &str| match line.split_once(&at) {
        Some((before, after)) => format!("{before}<key>{}", &after[16..]),
        None => line.to_owned(),
    };
    let lines = commands.lines.into_inner().unwrap();
    (made, lines.into_iter().map(|(line, input)| (neat(&line), input)).collect())
}

#[test]
fn the_state_is_made_and_its_label_comes_last() {
    let (made, lines) = state_made(Unlocking::None, usize::MAX);
    assert_eq!(made.unwrap(), OpenState { file_system: "/dev/sda6".into(), recovery: None });
    let plain: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(plain, ["wipefs --all --force --quiet /dev/sda6", "mkfs.ext4 -q -F -L custodian-state /dev/sda6"]);

    for (unlocking, added, how) in [
        (
            Unlocking::Tpm { public_key: "/key.pem".into() },
            "systemd-cryptenroll --unlock-key-file=<key> --tpm2-device=auto --tpm2-pcrs=7 --tpm2-public-key=/key.pem \
             --tpm2-public-key-pcrs=11 /dev/sda6",
            "tpm",
        ),
        (
            Unlocking::KeyFile("/s/custodian.key".into()),
            "cryptsetup luksAddKey --batch-mode --key-file <key> /dev/sda6 /s/custodian.key",
            "usb-key",
        ),
        (
            Unlocking::Passphrase(Secret::new("open sesame")),
            "cryptsetup luksAddKey --batch-mode --key-file <key> /dev/sda6 -",
            "passphrase",
        ),
    ] {
        let (made, lines) = state_made(unlocking, usize::MAX);
        let made = made.unwrap();
        let key = made.recovery.unwrap().reveal();
        assert_eq!(made.file_system, Path::new("/dev/mapper/custodian-state"));
        assert!(lines.iter().all(|(line, _)| !line.contains(&key) && !line.contains("sesame")), "{lines:?}");
        let plain: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(
            plain,
            [
                "wipefs --all --force --quiet /dev/sda6",
                "cryptsetup luksFormat --type luks2 --batch-mode --key-file - --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/sda6",
                added,
                "cryptsetup open --type luks2 --allow-discards --disable-external-tokens --key-file - /dev/sda6 custodian-state",
                "mkfs.ext4 -q -F -L custodian-state /dev/mapper/custodian-state",
                &format!("cryptsetup config /dev/sda6 --label custodian-state --subsystem custodian-state:{how}"),
            ]
        );
        assert_eq!((&lines[1].1, &lines[3].1), (&key, &key));
    }
}

#[test]
fn a_state_that_is_cut_short_is_none_and_stays_closed() {
    for fail_at in 0..6 {
        let (made, lines) = state_made(Unlocking::Tpm { public_key: "/key.pem".into() }, fail_at);
        assert!(matches!(made, Err(DiskError::Failed { .. })), "{fail_at}");
        let after: Vec<&str> = lines[fail_at + 1..].iter().map(|(line, _)| line.as_str()).collect();
        let expected: &[&str] = if fail_at >= 4 { &["cryptsetup close custodian-state"] } else { &[] };
        assert_eq!(after, expected, "{fail_at}");
    }
}

#[test]
fn the_state_opens_by_each_key_and_no_key_is_among_the_arguments() {
    let recovery = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj".parse().unwrap();
    for (key, how, input) in [
        (StateKey::Tpm, "--token-only --token-type systemd-tpm2", ""),
        (StateKey::File(Path::new("/s/k")), "--disable-external-tokens --key-file /s/k", ""),
        (StateKey::Passphrase(b"open sesame"), "--disable-external-tokens --key-file -", "open sesame"),
        (StateKey::Recovery(&recovery), "--disable-external-tokens --key-file -", "cccjbcbj-"),
    ] {
        let commands = Recorder { lines: Mutex::default(), fail_at: usize::MAX };
        open_state(&commands, Path::new("/dev/sda6"), key).unwrap();
        let lines = commands.lines.into_inner().unwrap();
        let line = format!("cryptsetup open --type luks2 --allow-discards {how} /dev/sda6 custodian-state");
        assert_eq!(lines[0].0, line);
        assert!(lines[0].1.starts_with(input) && lines[0].1.is_empty() == input.is_empty());
    }
}
