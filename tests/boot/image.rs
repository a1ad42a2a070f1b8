//! The image under test: what `image/build` left in `CUSTODIAN_IMAGE` or target/image.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The stick's file.
pub const STICK: &str = "custodian-installer.raw";
/// Below the folder: the image, a further version of it, and the vendor's keys.
pub const OUT: &str = "out";
pub const NEXT: &str = "next";
pub const KEYS: &str = "keys";

/// Something of what was built.
pub fn built(name: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/image");
    let path = std::env::var_os("CUSTODIAN_IMAGE").map_or_else(default, PathBuf::from).join(name);
    assert!(path.exists(), "{} is not there: tests/run --image builds it", path.display());
    path
}

/// A stick of one's own, to be written to.
pub fn stick(dir: &Path) -> PathBuf {
    let (from, to) = (built(OUT).join(STICK), dir.join(STICK));
    // Its holes stay holes.
    let copied = std::process::Command::new("cp").arg("--sparse=always").args([&from, &to]).status().unwrap();
    assert!(copied.success(), "{} cannot be copied", from.display());
    to
}

/// A partition of a raw disk: its label, and where it begins, in bytes.
#[derive(Debug, Clone)]
pub struct Partition {
    pub label: String,
    pub start: u64,
}

/// The partitions of a raw disk (UEFI specification, section 5.3).
pub fn partitions(disk: &Path) -> Vec<Partition> {
    let file = fs::File::open(disk).unwrap();
    let mut header = [0; 92];
    file.read_exact_at(&mut header, 512).unwrap();
    assert_eq!(&header[..8], b"EFI PART", "{} has no partition table", disk.display());
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let (at, count, size) = (number(&header[72..80]), number(&header[80..84]), number(&header[84..88]));
    let entry = |n: u64| {
        let mut entry = vec![0; usize::try_from(size).unwrap()];
        file.read_exact_at(&mut entry, at * 512 + n * size).unwrap();
        let first = number(&entry[32..40]);
        let name: Vec<u16> = entry[56..128].chunks(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
        let label = String::from_utf16_lossy(&name).trim_end_matches('\0').to_owned();
        (first > 0).then_some(Partition { label, start: first * 512 })
    };
    (0..count).filter_map(entry).collect()
}

/// The partition with that label.
pub fn partition(disk: &Path, label: &str) -> Partition {
    let all = partitions(disk);
    all.iter().find(|p| p.label == label).cloned().unwrap_or_else(|| panic!("no {label} among {all:?}"))
}
