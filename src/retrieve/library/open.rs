//! Opening files for reading, and never anything but a plain file below the volume's root.

use std::{fs::File, io, path::Path};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::Mode,
};

/// Opens `path` below `root`: no `..`, no absolute path, no symbolic link on the way, no pipe or device at its end.
pub(super) fn beneath(root: &Path, path: &str) -> io::Result<File> {
    let folder = File::open(root)?;
    // A pipe that somebody put there must not hang the reader.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let how = OpenHow::new()
        .flags(flags)
        .mode(Mode::empty())
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(&folder, path, how) {
        // Kernels before 5.6 and some sandboxes: the path comes from typed names alone, so the checks below are a
        // second fence there.
        Err(Errno::ENOSYS) if path.split('/').all(|name| !matches!(name, "" | "." | "..")) => {
            nix::fcntl::openat(&folder, path, flags, Mode::empty())?
        }
        other => other?,
    };
    let file = File::from(file);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_plain_files_below_the_root_are_opened() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("volume");
        std::fs::create_dir(&root).expect("made");
        std::fs::create_dir(root.join("footage")).expect("made");
        std::fs::write(dir.path().join("secret"), "s").expect("written");
        std::fs::write(root.join("footage/a.mp4"), "a").expect("written");
        symlink("../../secret", root.join("footage/link.mp4")).expect("made");
        symlink("footage", root.join("other")).expect("made");
        nix::unistd::mkfifo(&root.join("footage/pipe.mp4"), Mode::S_IRWXU).expect("made");

        assert!(beneath(&root, "footage/a.mp4").is_ok());
        let outside = dir.path().join("secret").display().to_string();
        for path in [
            "../secret",
            "footage/../../secret",
            &outside,
            "footage/link.mp4",
            "other/a.mp4",
            "footage/pipe.mp4",
            "footage",
        ] {
            assert!(beneath(&root, path).is_err(), "{path}");
        }
        let missing = beneath(&root, "footage/b.mp4").expect_err("is not there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
