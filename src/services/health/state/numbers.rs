//! The cameras' numbers: by them whoever may not know names is told of cameras. A camera gets the next one when it is seen first, and keeps
//! it for good, also after it has left.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{FORMAT, Kept};
use crate::{sys::Files, types::CameraId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    format: u16,
    cameras: BTreeMap<CameraId, u32>,
}

/// All that were given.
pub(in crate::services::health) struct Numbers {
    kept: Kept,
    said: Said,
    /// Whether there are some that are not on the disk yet.
    fresh: bool,
}

impl Numbers {
    pub(in crate::services::health) fn read(files: &dyn Files, dir: &Path) -> Self {
        let kept = Kept::new(dir, "numbers.json");
        let said = kept.read(files).unwrap_or(Said { format: FORMAT, cameras: BTreeMap::new() });
        Self { kept, said, fresh: false }
    }

    /// Gives numbers to those who have none.
    pub(in crate::services::health) fn meet<'a>(&mut self, cameras: impl IntoIterator<Item = &'a CameraId>) {
        for camera in cameras {
            if !self.said.cameras.contains_key(camera) {
                let next = self.said.cameras.values().max().map_or(1, |n| n + 1);
                self.said.cameras.insert(camera.clone(), next);
                self.fresh = true;
            }
        }
    }

    pub(in crate::services::health) fn all(&self) -> &BTreeMap<CameraId, u32> {
        &self.said.cameras
    }

    /// Whose number it is.
    pub(in crate::services::health) fn camera(&self, number: u32) -> Option<&CameraId> {
        self.said.cameras.iter().find(|(_, n)| **n == number).map(|(camera, _)| camera)
    }

    /// Writes them down, if there are new ones.
    pub(in crate::services::health) fn save(&mut self, files: &dyn Files) -> anyhow::Result<()> {
        if self.fresh {
            self.kept.write(files, &self.said)?;
            self.fresh = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeFiles;

    #[test]
    fn a_number_is_kept_for_good() {
        let (files, dir) = (FakeFiles::new(), Path::new("/health"));
        files.make_dir(dir).unwrap();
        let ids = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect::<Vec<CameraId>>();
        let mut numbers = Numbers::read(&files, dir);
        numbers.meet(&ids(&["yard", "gate"]));
        numbers.save(&files).unwrap();
        let mut numbers = Numbers::read(&files, dir);
        // The gate has left; the hall sorts before both.
        numbers.meet(&ids(&["hall", "yard"]));
        let all: Vec<_> = numbers.all().iter().map(|(c, n)| (c.as_str(), *n)).collect();
        assert_eq!(all, [("gate", 2), ("hall", 3), ("yard", 1)]);
        assert_eq!(numbers.camera(2).map(CameraId::as_str), Some("gate"));
        assert_eq!(numbers.camera(4), None);
        files.break_down(true);
        assert!(numbers.save(&files).is_err());
        files.break_down(false);
        numbers.save(&files).unwrap();
        assert_eq!(Numbers::read(&files, dir).all().len(), 3);
    }
}
