//! A school with a recorder's state, footage, and a place for backups; and the key that only the school has.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use age::secrecy::ExposeSecret as _;

use crate::footage::{Archive, EIGHT, Media, SECOND, run};

/// Two cameras; that at the gate is in the area that is backed up as a whole.
pub struct School {
    pub archive: Archive,
    key: age::x25519::Identity,
    /// `to` of `[backup]`.
    to: String,
}

/// Bytes of one of its pictures: a file of footage takes two objects.
const PICTURE: usize = 90_000;

impl School {
    /// With two files of each camera, which no decoder reads but which are whole.
    pub fn new() -> Self {
        Self::with(&Media::synthetic(200, 50, PICTURE), 2)
    }

    /// With footage of that kind, so many fragments to a file.
    pub fn with(media: &Media, per_file: usize) -> Self {
        let mut archive = Archive::new();
        fs::create_dir(archive.dir.path().join("nas")).unwrap();
        for (n, camera) in ["gate-1", "class-1"].into_iter().enumerate() {
            let run = run(n as u128 + 1, camera, media, EIGHT.offset(60 * SECOND), None);
            archive.record(run, media, per_file);
        }
        let to = format!("[{{ kind = \"directory\", path = \"{}\" }}]", archive.dir.path().join("nas").display());
        let school = Self { archive, key: age::x25519::Identity::generate(), to };
        fs::write(school.path("key"), format!("# the school's key\n{}\n", school.secret())).unwrap();
        school.site("");
        school
    }

    /// The secret half of the school's key.
    fn secret(&self) -> String {
        self.key.to_string().expose_secret().to_owned()
    }

    /// The public half.
    pub fn recipient(&self) -> String {
        self.key.to_public().to_string()
    }

    /// Something in its folder, which is also the recorder's state.
    pub fn path(&self, name: &str) -> PathBuf {
        self.archive.dir.path().join(name)
    }

    /// The folder of this recorder's backups.
    pub fn place(&self) -> PathBuf {
        self.path("nas/custodian-a")
    }

    /// Other places for backups, from the next site.toml on.
    pub fn places(&mut self, to: &str) {
        to.clone_into(&mut self.to);
        self.site("");
    }

    /// Writes site.toml; `more` are lines of `[backup]`.
    pub fn site(&self, more: &str) {
        let text = format!(
            "[site]\nid = \"school\"\nname = \"Trường mầm non Hoa Hướng Dương\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n\
             [area.yard]\nname = \"Sân\"\nkind = \"public\"\n[area.class]\nname = \"Lớp 1\"\nkind = \"classroom\"\nreason = \"x\"\n\
             [recorder.a]\n[[recorder.a.volume]]\nname = \"a1\"\npath = \"{}\"\n\
             [camera.gate-1]\nname = \"Cổng\"\narea = \"yard\"\nmain = \"rtsp://127.0.0.1:9/1\"\n\
             [camera.class-1]\nname = \"Lớp 1\"\narea = \"class\"\nmain = \"rtsp://127.0.0.1:9/2\"\n\
             [backup]\nareas = [\"yard\"]\nrecipients = [\"{}\"]\nat = \"02:30\"\nto = {}\n{more}\n",
            self.archive.root().display(),
            self.recipient(),
            self.to
        );
        fs::write(self.path("site.toml"), text).unwrap();
    }

    /// Writes secrets.toml.
    pub fn secrets(&self, text: &str) {
        fs::write(self.path("secrets.toml"), text).unwrap();
        fs::set_permissions(self.path("secrets.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// `custodian backup …` on this machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = custodian(self.archive.dir.path());
        command.arg("backup").args(args);
        command.args(["--site", "site.toml", "--state"]).arg(self.archive.dir.path());
        command
    }

    pub fn backup(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What it prints if all goes well.
    pub fn ok(&self, args: &[&str]) -> String {
        let out = self.backup(args);
        assert!(out.status.success(), "{args:?}: {}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stdout)
    }

    /// What it says if it does not.
    pub fn fails(&self, args: &[&str], code: i32) -> String {
        let out = self.backup(args);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stderr)
    }

    /// The last line of JSON that it prints.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let printed = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(printed.lines().last().unwrap()).unwrap()
    }

    /// The one record of a backup that is made now.
    pub fn run(&self) -> serde_json::Value {
        self.json(&["run"])["backups"][0].clone()
    }

    /// The records of all backups so far, or what else `list` tells.
    pub fn list(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(&[&["list", "--json"], args].concat())).unwrap()
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// The program, anywhere.
pub fn custodian(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.current_dir(dir).stdin(Stdio::null());
    for name in ["LANG", "LC_ALL", "LC_MESSAGES", "CUSTODIAN_RECORDER"] {
        command.env_remove(name);
    }
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All files below a folder, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path()));
        for entry in entries {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found.sort();
    found
}
