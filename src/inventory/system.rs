//! Whether this system runs from a disk.

use std::path::Path;

use super::lsblk::Block;

/// Where a system lives. What is mounted at one of these, or below, makes a disk the system's.
const SYSTEM: [&str; 9] = ["/boot", "/efi", "/usr", "/nix", "/etc", "/var", "/run/live", "/run/initramfs", "/sysroot"];

/// Whether `/`, `/boot`, swap or the state folder lie on the disk. `volumes` are mounted below the state folder
/// without being part of the system; `state_at` is the mount point that the state folder lies on.
pub(super) fn is_system(disk: &Block, volumes: &Path, state_at: Option<&Path>) -> bool {
    disk.tree().iter().flat_map(|b| b.mounted()).any(|at| {
        let path = Path::new(at);
        let lives = SYSTEM.iter().any(|s| path.starts_with(s));
        at == "/" || at == "[SWAP]" || Some(path) == state_at || (lives && !path.starts_with(volumes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::lsblk;

    #[test]
    fn the_system_is_where_it_lives() {
        let state = Path::new("/var/lib/custodian");
        let system = |at: &str, state_at: Option<&str>| {
            let json = format!(
                r#"{{"blockdevices":[{{"name":"sda","kname":"sda","type":"disk","size":1,"children":[
                    {{"name":"x","kname":"dm-0","type":"crypt","size":1,"mountpoints":[null,"{at}"]}}]}}]}}"#
            );
            let blocks = lsblk::parse(json.as_bytes()).unwrap();
            is_system(&blocks[0], &state.join("volumes"), state_at.map(Path::new))
        };
        for at in ["/", "/boot/efi", "/nix/store", "[SWAP]", "/var", "/var/lib/custodian", "/run/live/medium"] {
            assert!(system(at, None), "{at}");
        }
        assert!(system("/data", Some("/data")), "a state folder elsewhere");
        for at in ["/var/lib/custodian/volumes/a1", "/mnt", "/media/usb", "/variable"] {
            assert!(!system(at, Some("/")), "{at}");
        }
    }
}
