//! A machine that the stick has installed. It is installed once for all tests: each works on a copy, which holds only what it changes.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use custodian::{
    disks::{Facts, Token, Verb},
    inventory::Content,
    sys::{Clock, RealClock},
    types::ByteSize,
};
use sha2::{Digest, Sha256};

use crate::{
    image,
    school::{self, PIN, VOLUMES, put_on_stick},
    vm::{Pc, PowerOn, SYSTEM, disks},
};

/// What opens the recovery sheet. Where it is given, the installation waits for nobody to write it down.
const SHEET_CODE: &str = "9q7n-wm6h-wpka-6ben";

/// A folder below the build output for a test's machine. It goes when the test ends well, and stays to be looked at when it does not.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Self {
        static ALL: LazyLock<PathBuf> = LazyLock::new(|| {
            let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot");
            // Another test may have made it.
            let _ = fs::create_dir(&all);
            all
        });
        let folder = ALL.join(test);
        // What an earlier run left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// install.toml: the answers for a [`Pc`] as it is new.
pub fn answers(more: &str) -> String {
    let mut text = format!(
        "recorder = \"a\"\nlanguage = \"en\"\npin = \"{PIN}\"\nthen = \"poweroff\"\nsheet_code = \"{SHEET_CODE}\"\n{more}\n"
    );
    write!(text, "[system]\nserial = \"{SYSTEM}\"\ntoken = \"{}\"\n", token(SYSTEM, Verb::Install)).unwrap();
    for (_, serial) in VOLUMES {
        write!(text, "[[footage]]\nserial = \"{serial}\"\ntoken = \"{}\"\n", token(serial, Verb::Init)).unwrap();
    }
    text
}

/// What is shown beside the facts of one of its disks while nothing is on it.
pub fn token(serial: &str, verb: Verb) -> Token {
    let (_, size) = disks().find(|(s, _)| *s == serial).unwrap();
    let facts = Facts {
        by_id: vec![format!("virtio-{serial}")],
        serial: Some(serial.to_owned()),
        wwn: None,
        // What the kernel says of a disk that virtio shows.
        model: Some("0x1af4".to_owned()),
        size: ByteSize(size),
        content: Content::Empty,
    };
    facts.token(verb)
}

/// A stick with the school's files, for a person.
pub fn stick_of_school(dir: &Path) -> PathBuf {
    let stick = image::stick(dir);
    put_on_stick(&stick, &[("site.toml", &school::site(4)), ("secrets.toml", &school::secrets())]);
    stick
}

/// A stick with the school's files, and answers.
pub fn stick(dir: &Path, more: &str) -> PathBuf {
    let stick = image::stick(dir);
    put_on_stick(
        &stick,
        &[("site.toml", &school::site(4)), ("secrets.toml", &school::secrets()), ("install.toml", &answers(more))],
    );
    stick
}

/// A machine that was installed from the stick, unattended, and switched off, in a folder of its own; the folder, and what the
/// installation cost in seconds.
pub fn installed(test: &str) -> (Pc, Folder) {
    let base = base();
    let folder = Folder::new(test);
    (Pc::at(&base).copy(folder.path()), folder)
}

/// The folder of the machine that all are copies of, installed if there is none of this image and these answers.
pub fn base() -> PathBuf {
    let built = fs::metadata(image::built(image::OUT).join(image::STICK)).unwrap();
    let inputs = format!("{:?} {} {}", built.modified().unwrap(), school::site(4), answers(""));
    let hash = Sha256::digest(inputs).iter().take(6).fold(0u64, |n, b| n << 8 | u64::from(*b));
    let name = format!("installed-{hash:012x}");
    let above = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = fs::File::create(above.join("installed.lock")).unwrap();
    lock.lock().unwrap();
    let base = above.join(&name);
    if !base.exists() {
        for old in fs::read_dir(above).unwrap().map(|e| e.unwrap().path()) {
            if old.file_name().is_some_and(|n| n.to_string_lossy().starts_with("installed-")) {
                fs::remove_dir_all(old).unwrap();
            }
        }
        let folder = Folder::new("installation");
        let began = RealClock.monotonic().0;
        install(&Pc::new(folder.path()), folder.path());
        let seconds = (RealClock.monotonic().0 - began) / 1_000_000_000;
        fs::write(folder.path().join("seconds"), seconds.to_string()).unwrap();
        fs::rename(folder.path(), &base).unwrap();
    }
    base
}

/// Installs from the stick, unattended.
fn install(pc: &Pc, dir: &Path) {
    let stick = stick(dir, "");
    let mut vm = pc.start(&PowerOn { stick: Some(&stick), ..PowerOn::default() });
    vm.wait_until_off(600);
    assert!(vm.line(&["reboot: Power down"]).is_some(), "it went off otherwise than in order");
}
