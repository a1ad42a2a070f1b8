//! Which device is the stick that was just plugged in.

use std::{io, time::Duration};

use serde::Deserialize;

use super::{LABEL, StickError};
use crate::sys::{Commands, Output};

/// Waits a little.
pub type Pause<'a> = &'a dyn Fn(Duration);

const SHORT: Duration = Duration::from_secs(10);
/// Between two looks, and how many of them: a slow stick takes five seconds.
const STEP: Duration = Duration::from_millis(500);
const LOOKS: usize = 30;
/// A stick that is there has all its partitions after so many more.
const SETTLED: usize = 4;

/// A USB device, as `usbguard list-devices` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Usb {
    id: u32,
    name: String,
    storage: bool,
    /// It says that it is something else, too.
    other: bool,
}

/// The words of a rule, and whether each stood in quotes, whatever is escaped in them.
fn words(line: &str) -> Vec<(String, bool)> {
    let (mut words, mut word, mut inside, mut quoted) = (Vec::new(), String::new(), false, false);
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' if inside => word.extend(letters.next()),
            '"' => (inside, quoted) = (!inside, true),
            ' ' if !inside => {
                if quoted || !word.is_empty() {
                    words.push((std::mem::take(&mut word), quoted));
                }
                quoted = false;
            }
            c => word.push(c),
        }
    }
    if quoted || !word.is_empty() {
        words.push((word, quoted));
    }
    words
}

fn device(line: &str) -> Option<Usb> {
    let (id, rule) = line.split_once(": ")?;
    let words = words(rule);
    let mut usb = Usb { id: id.trim().parse().ok()?, name: String::new(), storage: false, other: false };
    // Every attribute has its value after it, several of them in braces: a value is never taken for an attribute.
    let mut rest = words.iter().skip(1);
    while let Some((attribute, _)) = rest.next() {
        let mut values = Vec::new();
        match rest.next() {
            Some((brace, false)) if brace == "{" => {
                let end = |w: &&(String, bool)| w.0 != "}" || w.1;
                values.extend(rest.by_ref().take_while(end).map(|(value, _)| value.as_str()));
            }
            Some((value, _)) => values.push(value),
            None => {}
        }
        match &**attribute {
            "name" => usb.name = values.join(" "),
            "with-interface" => {
                usb.storage = values.iter().any(|v| v.starts_with("08:"));
                usb.other = values.iter().any(|v| !v.starts_with("08:"));
            }
            _ => {}
        }
    }
    Some(usb)
}

/// What was let in; it is kept out again when this is dropped.
pub(super) struct Entry<'a> {
    commands: &'a dyn Commands,
    id: Option<u32>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        match self.commands.run("usbguard", &["block-device", &id.to_string()], &[], SHORT) {
            Ok(out) if out.ok() => log::info!("the stick is kept out again"),
            // One that was pulled out is not there any more.
            Ok(out) => log::info!("the stick is gone: {}", out.stderr),
            Err(e) => log::warn!("the stick could not be kept out again: {e}"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Listed {
    blockdevices: Vec<Block>,
}

#[derive(Debug, Clone, Deserialize)]
struct Block {
    name: String,
    tran: Option<String>,
    label: Option<String>,
    partlabel: Option<String>,
    fstype: Option<String>,
    #[serde(default)]
    children: Vec<Block>,
}

impl Block {
    fn parts(&self) -> Vec<&Block> {
        self.children.iter().flat_map(Block::parts).chain([self]).collect()
    }

    fn is_ours(&self) -> bool {
        [&self.label, &self.partlabel].into_iter().flatten().any(|l| l == LABEL)
    }
}

/// Disks at USB.
fn disks(commands: &dyn Commands) -> Result<Vec<Block>, StickError> {
    let program = |e: String| StickError::Program(e);
    let args = ["--json", "--paths", "--output", "NAME,TRAN,LABEL,PARTLABEL,FSTYPE"];
    let out = commands.run("lsblk", &args, &[], SHORT).map_err(|e| program(e.to_string()))?;
    let listed: Listed = serde_json::from_slice(&out.stdout).map_err(|e| program(format!("lsblk: {e}")))?;
    Ok(listed.blockdevices.into_iter().filter(|b| b.tran.as_deref() == Some("usb")).collect())
}

/// USB devices that are kept out; none where nobody keeps any out.
fn kept_out(ran: io::Result<Output>) -> Vec<Usb> {
    match ran {
        Ok(out) if out.ok() => String::from_utf8_lossy(&out.stdout).lines().filter_map(device).collect(),
        Ok(out) => {
            log::warn!("USBGuard does not say what it keeps out: {}", out.stderr);
            Vec::new()
        }
        Err(e) => {
            log::info!("nobody keeps sticks out of this machine: {e}");
            Vec::new()
        }
    }
}

/// Lets the stick in, and finds its partition.
pub(super) fn find<'a>(commands: &'a dyn Commands, pause: Pause<'_>) -> Result<(Entry<'a>, String), StickError> {
    let kept_out = kept_out(commands.run("usbguard", &["list-devices", "--blocked"], &[], SHORT));
    let present: Vec<Block> = disks(commands)?.into_iter().filter(|d| d.parts().iter().any(|p| p.is_ours())).collect();
    let mut sticks = kept_out.into_iter().filter(|usb| usb.storage);
    let entry = match (sticks.next(), sticks.next(), present.len()) {
        (None, _, 0) => return Err(StickError::None),
        (None, _, 1) => Entry { commands, id: None },
        (Some(stick), None, 0) if stick.other => return Err(StickError::Disguised(stick.name)),
        (Some(stick), None, 0) => {
            let id = stick.id.to_string();
            let out = commands.run("usbguard", &["allow-device", &id], &[], SHORT);
            let out = out.map_err(|e| StickError::Program(e.to_string()))?;
            if !out.ok() {
                return Err(StickError::Gone(out.stderr));
            }
            Entry { commands, id: Some(stick.id) }
        }
        _ => return Err(StickError::Several),
    };
    let device = partition(commands, pause)?;
    Ok((entry, device))
}

/// The partition, as soon as the kernel and udev know it.
fn partition(commands: &dyn Commands, pause: Pause<'_>) -> Result<String, StickError> {
    let mut after = 0;
    let mut seen: Vec<Block> = Vec::new();
    for _ in 0..LOOKS {
        // What udev has not looked at yet has no label.
        let _ = commands.run("udevadm", &["settle", "--timeout=5"], &[], SHORT);
        seen = disks(commands)?;
        let ours: Vec<&Block> = seen.iter().flat_map(Block::parts).filter(|p| p.is_ours()).collect();
        match ours[..] {
            [one] => {
                let fs = one.fstype.clone().unwrap_or_default();
                return if fs == "vfat" { Ok(one.name.clone()) } else { Err(StickError::NotFat(named(&fs))) };
            }
            [_, _, ..] => return Err(StickError::Several),
            [] if !seen.is_empty() => after += 1,
            [] => {}
        }
        if after > SETTLED {
            break;
        }
        pause(STEP);
    }
    if seen.is_empty() {
        return Err(StickError::Gone("the kernel finds no disk on it".to_owned()));
    }
    let label = |p: &Block| named(p.label.as_deref().or(p.partlabel.as_deref()).unwrap_or_default());
    Err(StickError::Label(seen.iter().flat_map(Block::parts).filter(|p| p.children.is_empty()).map(label).collect()))
}

fn named(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stick_is_known_and_its_name_is_no_rule() {
        let line = r#"12: block id 0951:1666 serial "60A4" name "Data Traveler" hash "x=" parent-hash "y=" via-port "1-2" with-interface 08:06:50 with-connect-type "hotplug""#;
        let usb = Usb { id: 12, name: "Data Traveler".into(), storage: true, other: false };
        assert_eq!(device(line), Some(usb));
        let both = line.replace("08:06:50", "{ 08:06:50 03:01:01 }");
        assert!(device(&both).is_some_and(|usb| usb.storage && usb.other));
        let keyboard = line.replace("08:06:50", "{ 03:01:01 03:00:00 }");
        assert!(device(&keyboard).is_some_and(|usb| !usb.storage && usb.other));
        // A keyboard whose name says that it is a stick.
        for name in [
            r#"x\" with-interface 08:06:50 with-x \""#,
            "with-interface",
            "with-interface 08:06:50",
            "{",
            "}",
            "{ 08:06:50 }",
            "",
            " ",
        ] {
            let hostile = keyboard.replace("Data Traveler", name);
            assert!(device(&hostile).is_some_and(|usb| !usb.storage && usb.other), "{hostile}: {:?}", device(&hostile));
        }
        assert_eq!(device("IPC error"), None);
        assert_eq!(device("no: number"), None);
    }
}
