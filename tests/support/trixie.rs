//! Debian's systemd of the release that the image is made of: its programs in a folder of their own, run as root in a mount namespace.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};

use custodian::sys::{Commands, Output, RealCommands};

const RELEASE: &str = "trixie";
const PACKAGES: &str = "systemd,systemd-container,dbus,gpg,gpgv,fdisk";

/// The folder with its packages, made once; nothing, and a word why, where it cannot be had.
pub fn root() -> Option<PathBuf> {
    if !nix::unistd::geteuid().is_root() {
        super::not_possible(&format!("{RELEASE}'s systemd takes root"));
        return None;
    }
    let made = make();
    if let Err(why) = &made {
        super::lacking(&format!("{RELEASE}'s systemd: {why}"));
    }
    made.ok()
}

fn make() -> Result<PathBuf, String> {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there("debootstrap") || !there("gpg") {
        return Err("it takes debootstrap and gpg".to_owned());
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = cache.join(format!("programs-{RELEASE}"));
    // One test makes it, the others wait.
    let lock = fs::File::create(cache.join(format!("programs-{RELEASE}.lock"))).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    if !root.exists() {
        let made = tempfile::tempdir_in(cache).unwrap();
        let at = made.path().join("root");
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", "--include", PACKAGES, RELEASE]).arg(&at);
        let out = command.stdin(Stdio::null()).output().unwrap();
        if !out.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stdout)));
        }
        // In one step, so that an interrupted one is not taken for whole.
        fs::rename(&at, &root).unwrap();
    }
    Ok(root)
}

/// Runs programs in it. What they write there is forgotten; `dir` is seen under the same name as here, and so are files below `dir/over`,
/// in place of those of the same name.
pub struct InTrixie {
    pub root: PathBuf,
    pub dir: PathBuf,
}

const SCRIPT: &str = r#"
set -e
root=$1 dir=$2; shift 2
mount --make-rprivate /
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"
mkdir "$work/up" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$root,upperdir=$work/up,workdir=$work/work" overlay "$work/root"
cp -r "$dir/over/." "$work/root/"
mkdir -p "$work/root$dir"
mount --rbind "$dir" "$work/root$dir"
mount -t proc proc "$work/root/proc"
mount --rbind /dev "$work/root/dev"
exec chroot "$work/root" "$@"
"#;

impl Commands for InTrixie {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        let (root, dir) = (self.root.display().to_string(), self.dir.display().to_string());
        let all = [&["--mount", "sh", "-c", SCRIPT, "sh", &root, &dir, program], args].concat();
        RealCommands.run("unshare", &all, input, limit)
    }
}
