use std::sync::Mutex;

use super::*;
use crate::sys::Output;

/// Remembers command lines and inputs; fails at the nth.
struct Recorder {
    lines: Mutex<Vec<(String, String)>>,
    fail_at: usize,
}

impl Recorder {
    fn new(fail_at: usize) -> Self {
        Self { lines: Mutex::default(), fail_at }
    }

    fn lines(&self) -> Vec<(String, String)> {
        self.lines.lock().unwrap().clone()
    }
}

impl Commands for Recorder {
    fn run(&self, program: &str, args: &[&str], input: &[u8], _limit: Duration) -> io::Result<Output> {
        let mut lines = self.lines.lock().unwrap();
        let line = std::iter::once(&program).chain(args).copied().collect::<Vec<_>>().join(" ");
        lines.push((line, String::from_utf8_lossy(input).into_owned()));
        let code = i32::from(lines.len() > self.fail_at);
        Ok(Output { code: Some(code), stdout: Vec::new(), stderr: "refused".into() })
    }
}

/// A disk `sda` with its partition, as files.
fn disk(dir: &Path) -> EmptyDisk {
    let device = dir.join("sda");
    fs::write(&device, "").unwrap();
    fs::write(dir.join("sda1"), "").unwrap();
    EmptyDisk { device, site: "school".into(), volume: "a1".parse().unwrap(), label: "a1@school".into() }
}

/// The lines of a whole init with the parts that differ from run to run replaced, and the inputs beside them.
fn whole(unlocking: Unlocking) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let commands = Recorder::new(usize::MAX);
    let order = Order { unlocking, run: dir.path().to_owned() };
    let prepared = prepare(&commands, disk(dir.path()), &order).unwrap();
    let recovery = prepared.recovery.clone();
    prepared.seal(&commands).unwrap();
    let left: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left.len(), 2, "nothing temporary stays: {left:?}");
    let recovery = recovery.map_or_else(|| "-".repeat(99), |key| key.reveal());
    let at = dir.path().display().to_string();
    let parts = regex_lite::Regex::new("custodian-(disk|key)-[0-9a-f]+").unwrap();
    let neat = |text: &str| parts.replace_all(&text.replace(&at, "/D"), "custodian-$1-X").into_owned();
    commands
        .lines()
        .iter()
        .map(|(line, input)| {
            assert!(!line.contains(&recovery), "a secret among the arguments: {line}");
            (neat(line), input.replace(&recovery, "<recovery>"))
        })
        .collect()
}

const REPART: &str = "systemd-repart --dry-run=no --empty=require --seed=random --pretty=no --no-pager \
                      --definitions=/D/custodian-disk-X /D/sda";

#[test]
fn plain() {
    let lines: Vec<String> = whole(Unlocking::None).into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        lines,
        [
            REPART,
            "partx --update /D/sda",
            "udevadm settle --timeout=20",
            "mkfs.xfs -q -K /D/sda1",
            "xfs_admin -L custodian /D/sda1",
        ]
    );
}

#[test]
fn encrypted() {
    let with = |added: &str, input: &str| {
        [
            (REPART, ""),
            ("partx --update /D/sda", ""),
            ("udevadm settle --timeout=20", ""),
            ("cryptsetup luksFormat --type luks2 --batch-mode --key-file - --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /D/sda1", "<recovery>"),
            (added, input),
            ("cryptsetup open --type luks2 --disable-external-tokens --key-file - /D/sda1 custodian-a1", "<recovery>"),
            ("mkfs.xfs -q -K /dev/mapper/custodian-a1", ""),
            ("cryptsetup close custodian-a1", ""),
            ("cryptsetup config /D/sda1 --label a1 --subsystem custodian:school", ""),
        ]
        .map(|(line, input)| (line.to_owned(), input.to_owned()))
    };
    assert_eq!(
        whole(Unlocking::Passphrase(Secret::new("open sesame"))),
        with("cryptsetup luksAddKey --batch-mode --key-file /D/custodian-key-X /D/sda1 -", "open sesame")
    );
    assert_eq!(
        whole(Unlocking::KeyFile("/media/key/school".into())),
        with("cryptsetup luksAddKey --batch-mode --key-file /D/custodian-key-X /D/sda1 /media/key/school", "")
    );
    assert_eq!(
        whole(Unlocking::Tpm { public_key: "/etc/systemd/key.pem".into() }),
        with(
            "systemd-cryptenroll --unlock-key-file=/D/custodian-key-X --tpm2-device=auto --tpm2-pcrs=7 \
             --tpm2-public-key=/etc/systemd/key.pem --tpm2-public-key-pcrs=11 /D/sda1",
            ""
        )
    );
}

#[test]
fn a_failed_step_ends_it_before_the_seal() {
    // What a kernel may do itself may fail: partx and udevadm, numbers 1 and 2.
    for fail_at in [0, 3, 4, 5, 6, 7, 8] {
        let dir = tempfile::tempdir().unwrap();
        let commands = Recorder::new(fail_at);
        let order = Order { unlocking: Unlocking::Tpm { public_key: "/key.pem".into() }, run: dir.path().to_owned() };
        let result = prepare(&commands, disk(dir.path()), &order).and_then(|p| p.seal(&commands));
        assert!(matches!(result, Err(DiskError::Failed { .. })), "{fail_at}: {result:?}");
        let lines = commands.lines();
        // After a failure nothing is done but closing what was opened.
        assert!(lines[fail_at + 1..].iter().all(|(line, _)| line == "cryptsetup close custodian-a1"), "{lines:?}");
        assert!(fail_at == 8 || !lines.iter().any(|(line, _)| line.contains(" config ")), "{lines:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing temporary stays");
    }
}
