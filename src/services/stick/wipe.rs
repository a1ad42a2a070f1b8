//! Wiping a file from a stick: its own clusters are written over, where the file system says that they are, and then its name is removed.
//!
//! What a stick's electronics have copied elsewhere is out of reach; who is told so can destroy the stick.

use super::{Access, LONGEST, Stick, StickError, understood};

/// Where a file lies, in sectors.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    first: u64,
    count: u64,
}

/// A figure of `minfo`: what stands after these words.
fn figure(info: &str, words: &str) -> Option<u64> {
    let rest = info.lines().find_map(|l| l.strip_prefix(words))?;
    rest.trim().split(' ').next()?.parse().ok()
}

/// The extents of a file from what `minfo` and `mshowfat` print, and the size of a sector.
fn extents(info: &str, shown: &str) -> Option<(u64, Vec<Extent>)> {
    let sector = figure(info, "sector size:").filter(|s| matches!(s, 512 | 1024 | 2048 | 4096))?;
    let cluster = figure(info, "cluster size:").filter(|c| (1..=128).contains(c))?;
    let fat = match figure(info, "sectors per fat:")? {
        0 => figure(info, "Big fatlen=")?,
        small => small,
    };
    let root = (figure(info, "max available root directory slots:")? * 32).div_ceil(sector);
    let data = figure(info, "reserved (boot) sectors:")? + figure(info, "fats:")?.checked_mul(fat)? + root;
    let mut extents = Vec::new();
    let mut bytes = 0_u64;
    for run in shown.split('<').skip(1) {
        let (from, to) = run.split_once('>')?.0.split_once('-').unwrap_or_else(|| {
            let one = run.split_once('>').map_or("", |r| r.0);
            (one, one)
        });
        let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
        let clusters = to.checked_sub(from)?.checked_add(1)?;
        let extent = Extent {
            first: data.checked_add(from.checked_sub(2)?.checked_mul(cluster)?)?,
            count: clusters.checked_mul(cluster)?,
        };
        bytes = bytes.checked_add(extent.count.checked_mul(sector)?)?;
        extents.push(extent);
    }
    // A file of ours is short, and ends in its last cluster.
    let most = LONGEST as u64 + cluster * sector;
    (bytes > 0 && bytes <= most).then_some((sector, extents))
}

impl Stick<'_> {
    /// Wipes a file. What is written over is read before, and compared with the file, so that nothing else is hit.
    ///
    /// # Errors
    /// If it is not where it should be, or cannot be written over. Then it may be there still.
    pub fn wipe(&self, name: &'static str) -> Result<(), StickError> {
        let not_wiped = || StickError::NotWiped(name);
        let before = self.bytes(name)?;
        let path = format!("::{name}");
        let text = |command: &[&str]| -> Result<String, StickError> {
            let out = understood(self.run(Access::Read, command, &[]))?;
            if out.ok() { Ok(String::from_utf8_lossy(&out.stdout).into_owned()) } else { Err(not_wiped()) }
        };
        let info = text(&["minfo", "-i", &self.device, "::"])?;
        let shown = text(&["mshowfat", "-i", &self.device, &path])?;
        if !before.is_empty() {
            let (sector, extents) = extents(&info, &shown).ok_or_else(not_wiped)?;
            let mut there = Vec::new();
            for extent in &extents {
                there.extend(self.dd(Access::Read, sector, extent)?);
            }
            if !there.starts_with(&before) {
                return Err(not_wiped());
            }
            for extent in &extents {
                self.dd(Access::Write, sector, extent)?;
            }
            if self.bytes(name)? != vec![0; before.len()] {
                return Err(not_wiped());
            }
        }
        let out = understood(self.run(Access::Write, &["mdel", "-i", &self.device, &path], &[]))?;
        if out.ok() { Ok(()) } else { Err(StickError::Written(out.stderr)) }
    }

    /// Reads an extent, or writes zeros over it.
    fn dd(&self, access: Access, sector: u64, extent: &Extent) -> Result<Vec<u8>, StickError> {
        let (size, count) = (format!("bs={sector}"), format!("count={}", extent.count));
        let device = |what: &str| format!("{what}={}", self.device);
        let out = match access {
            Access::Read => self.run(
                access,
                &["dd", "status=none", &device("if"), &size, &count, &format!("skip={}", extent.first)],
                &[],
            ),
            Access::Write => {
                let (to, seek) = (device("of"), format!("seek={}", extent.first));
                self.run(
                    access,
                    &["dd", "status=none", "if=/dev/zero", "conv=notrunc,fsync", &to, &size, &count, &seek],
                    &[],
                )
            }
        };
        let out = understood(out)?;
        if out.ok() { Ok(out.stdout) } else { Err(StickError::Written(out.stderr)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAT32: &str = "sector size: 512 bytes\ncluster size: 8 sectors\nreserved (boot) sectors: 32\nfats: 2\n\
        max available root directory slots: 0\nsectors per fat: 0\nBig fatlen=1009\n";
    const FAT16: &str = "sector size: 512 bytes\ncluster size: 4 sectors\nreserved (boot) sectors: 1\nfats: 2\n\
        max available root directory slots: 512\nsectors per fat: 32\n";

    #[test]
    fn a_file_lies_where_the_file_system_says() {
        let one = |first, count| Extent { first, count };
        assert_eq!(extents(FAT32, "::/secrets.toml <4-6> <9>\n"), Some((512, vec![one(2066, 24), one(2106, 8)])));
        assert_eq!(extents(FAT16, "::/s <2>"), Some((512, vec![one(97, 4)])));
    }

    #[test]
    fn nothing_is_written_over_by_figures_that_make_no_sense() {
        for shown in [
            "",
            "::/s",
            "::/s <1>",
            "::/s <0-5>",
            "::/s <9-4>",
            "::/s <2-99999999>",
            "::/s <2",
            "::/s <-5>",
            "::/s <2-18446744073709551615>",
        ] {
            assert_eq!(extents(FAT32, shown), None, "{shown}");
        }
        for (from, to) in [
            ("512 bytes", "7 bytes"),
            ("8 sectors", "0 sectors"),
            ("fats: 2", "fats: x"),
            ("Big fatlen=1009", "Big fatlen=18446744073709551615"),
        ] {
            assert_eq!(extents(&FAT32.replace(from, to), "::/s <4>"), None, "{to}");
        }
    }
}
