//! Lines on what is missing from a backup: a path within the backup, a colon, and why. Records and lists of contents have them as they are; the ledger,
//! which everybody may read and nobody can change, has less: an export may be called after a child.

use super::record::Kind;
use crate::store::layout::FOOTAGE;

/// The path of the segment that is missing, if it is one.
pub fn segment(line: &str) -> Option<&str> {
    let (path, _) = line.split_once(": ")?;
    (kind(line) == Some(Kind::Footage)).then_some(path)
}

fn kind(line: &str) -> Option<Kind> {
    let (folder, _) = line.split_once(['/', ':'])?;
    match folder {
        FOOTAGE => Some(Kind::Footage),
        "exports" => Some(Kind::Export),
        "databases" => Some(Kind::Database),
        "ledger" => Some(Kind::Ledger),
        "site.toml" => Some(Kind::Site),
        _ => None,
    }
}

/// So many bytes of paths go into an entry of the ledger, whose length is limited.
const ROOM: usize = 40_000;

/// What the ledger says of it: how many of each kind, and of footage the paths, as far as there is room.
pub fn for_ledger(lines: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for of in Kind::ALL.map(Some).into_iter().chain([None]) {
        let count = lines.iter().filter(|line| kind(line) == of).count();
        if count > 0 {
            all.push(format!("{}: {count}", of.map_or("other", Kind::as_str)));
        }
    }
    let mut room = ROOM;
    for path in lines.iter().filter_map(|line| segment(line)) {
        // Its quotes and comma too.
        match room.checked_sub(path.len() + 3) {
            Some(left) => room = left,
            None => break,
        }
        all.push(path.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_gets_no_name_of_a_person_and_never_too_much() {
        let few =
            ["exports/đơn của Nguyễn Văn A.mp4: gone", "footage/gate-1/main/x.mp4: exports/A: gone", "site.toml: x"];
        let few = few.map(str::to_owned);
        assert_eq!(for_ledger(&few), ["site: 1", "export: 1", "footage: 1", "footage/gate-1/main/x.mp4"]);
        assert_eq!(for_ledger(&["7 more, which the encrypted list of contents names".to_owned()]), ["other: 1"]);
        assert_eq!(segment(&few[0]), None);
        let path = |n: u32| format!("footage/gate-1/main/2026-11-22/{n:0200}.mp4: gone");
        let many = for_ledger(&(0..2000).map(path).collect::<Vec<_>>());
        assert_eq!(many[0], "footage: 2000");
        let bytes = serde_json::to_vec(&many).unwrap().len();
        assert!(many.len() > 100 && bytes < 65_535 - 20_000, "{} lines, {bytes} bytes", many.len());
    }
}
