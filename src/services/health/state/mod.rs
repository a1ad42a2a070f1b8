//! What health keeps from one start to the next, in a folder of its own.

mod memory;
mod numbers;
mod silences;
mod turns;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};

pub use self::silences::LONGEST;
pub(super) use self::{memory::Memory, numbers::Numbers, silences::Silences, turns::Turns};
use crate::sys::Files;

/// Version of each of the files.
const FORMAT: u16 = 1;

/// One of the files. What it says has a member `format`.
#[derive(Debug, Clone)]
struct Kept {
    path: PathBuf,
}

impl Kept {
    fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name) }
    }

    /// What it says; nothing if there is none. One that cannot be understood is kept beside, and begun anew: health without its past is
    /// better than none.
    fn read<T: DeserializeOwned>(&self, files: &dyn Files) -> Option<T> {
        let text = files
            .read(&self.path)
            .inspect_err(|e| log::error!("{} cannot be read: {e}", self.path.display()))
            .ok()??;
        let why = match serde_json::from_slice(&text) {
            Ok(said) => return Some(said),
            Err(e) => e,
        };
        let aside = self.path.with_extension("broken");
        log::error!("{} is begun anew, and kept as {}: {why}", self.path.display(), aside.display());
        if let Err(e) = files.remove(&aside).and_then(|()| files.rename(&self.path, &aside)) {
            log::error!("{} cannot be set aside: {e}", self.path.display());
        }
        None
    }

    fn write(&self, files: &dyn Files, what: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(what)?;
        text.push(b'\n');
        files.write(&self.path, &text, 0o640, None).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{new_salt, salt_of},
        sys::FakeFiles,
    };

    #[test]
    fn what_cannot_be_understood_is_kept_beside_and_begun_anew() {
        let (files, dir) = (FakeFiles::new(), Path::new("/health"));
        files.make_dir(dir).unwrap();
        let kept = Kept::new(dir, "x.json");
        assert_eq!(kept.read::<u32>(&files), None);
        kept.write(&files, &7_u32).unwrap();
        assert_eq!(kept.read::<u32>(&files), Some(7));
        assert_eq!(kept.read::<String>(&files), None);
        assert_eq!(files.read(&dir.join("x.broken")).unwrap().unwrap(), b"7\n");
        assert_eq!(files.read(&dir.join("x.json")).unwrap(), None);
    }

    #[test]
    fn salts_come_back() {
        let salt = new_salt().unwrap();
        assert_eq!(format!("{:032x}", u128::from_be_bytes(salt_of(&salt).unwrap())), salt);
        assert_eq!((salt_of("12"), salt_of(&"x".repeat(32))), (None, None));
    }
}
