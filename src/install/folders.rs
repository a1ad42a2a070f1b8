//! The folders that what is installed needs before systemd-tmpfiles has run for the first time: those that tmpfiles.d declares. Pure.

use std::path::{Path, PathBuf};

const TMPFILES: &str = include_str!("../../modules/units/tmpfiles.d/custodian.conf");

/// A folder of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Below `/var`.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its user.
    pub user: String,
    /// Its group.
    pub group: String,
}

/// All of them, each after the one that it is in.
pub fn folders() -> Vec<Folder> {
    let folder = |line: &str| {
        let mut words = line.split_whitespace();
        let (kind, path, mode, user, group) =
            (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let path = Path::new(path).strip_prefix("/var").ok().filter(|_| kind == "d")?;
        let (user, group) = (user.to_owned(), group.to_owned());
        Some(Folder { path: path.to_owned(), mode: u32::from_str_radix(mode, 8).ok()?, user, group })
    };
    TMPFILES.lines().filter_map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_is_declared_once_and_after_its_parent() {
        let all = folders();
        let paths: Vec<&Path> = all.iter().map(|f| f.path.as_path()).collect();
        assert_eq!(paths.first(), Some(&Path::new("lib/custodian")));
        for (n, path) in paths.iter().enumerate() {
            let parent = path.parent().unwrap();
            assert!(parent == Path::new("lib") || paths[..n].contains(&parent), "{}", path.display());
        }
        for (name, user, mode) in
            [("ledger-spool", "custodian-record", 0o3770), ("etc", "root", 0o755), ("credstore", "root", 0o700)]
        {
            let folder = all.iter().find(|f| f.path.ends_with(name)).expect(name);
            assert_eq!((folder.user.as_str(), folder.mode), (user, mode), "{name}");
        }
    }
}
