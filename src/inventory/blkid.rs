//! What blkid finds on a device by looking at the device itself (`-p`), not at a cache.

use super::model::NOT_ROOT;
use crate::sys::Output;

/// The command line, without the device.
pub(super) const ARGS: [&str; 3] = ["-p", "-o", "udev"];

/// What a look at a device brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// No signature. Says nothing of whether the device could be read at all.
    Nothing,
    /// One.
    Found(Signature),
    /// Several that contradict one another.
    Several,
    /// It could not be looked at.
    Failed(String),
}

/// A signature, and where the device is a partition, what the table says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Signature {
    /// Kind of file system or container: `ntfs`, `crypto_LUKS`, `LVM2_member`.
    pub(super) kind: Option<String>,
    pub(super) label: Option<String>,
    /// LUKS2 only.
    pub(super) subsystem: Option<String>,
    /// Kind of the partition table on it: `gpt`, `dos`.
    pub(super) table: Option<String>,
    /// Type of the partition that it is.
    pub(super) part_type: Option<String>,
    /// Its name in the table.
    pub(super) part_label: Option<String>,
    /// Its identity in the table.
    pub(super) part_id: Option<String>,
}

/// Reads an answer.
pub(super) fn parse(out: &Output) -> Look {
    match out.code {
        Some(0) => Look::Found(signature(&String::from_utf8_lossy(&out.stdout))),
        Some(2) if out.stderr.is_empty() => Look::Nothing,
        Some(8) => Look::Several,
        _ if out.stderr.contains("ermission denied") => Look::Failed(NOT_ROOT.to_owned()),
        // It says "blkid: error: …" itself.
        _ if !out.stderr.is_empty() => Look::Failed(out.stderr.clone()),
        code => Look::Failed(format!("blkid: exit code {code:?}")),
    }
}

fn signature(text: &str) -> Signature {
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(unescape(found)).filter(|v| !v.is_empty())
    };
    Signature {
        kind: value("ID_FS_TYPE"),
        label: value("ID_FS_LABEL_ENC").or_else(|| value("ID_FS_LABEL")),
        subsystem: value("ID_FS_SUBSYSTEM"),
        table: value("ID_PART_TABLE_TYPE"),
        part_type: value("ID_PART_ENTRY_TYPE"),
        part_label: value("ID_PART_ENTRY_NAME"),
        part_id: value("ID_PART_ENTRY_UUID"),
    }
}

/// Undoes udev's `\x20`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let code = rest.strip_prefix(b"\\x").and_then(|hex| hex.get(..2)).and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.push(first);
            rest = more;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(code: i32, stdout: &str, stderr: &str) -> Output {
        Output { code: Some(code), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn answers_of_blkid() {
        // From util-linux 2.38.1.
        let ext4 = "ID_FS_LABEL=My_\"D\\isk_é\nID_FS_LABEL_ENC=My\\x20\\x22D\\x5cisk\\x20é\nID_FS_TYPE=ext4\nID_FS_USAGE=filesystem\n";
        let Look::Found(found) = parse(&out(0, ext4, "")) else { panic!("a signature") };
        assert_eq!((found.kind.as_deref(), found.label.as_deref()), (Some("ext4"), Some("My \"D\\isk é")));
        assert_eq!(parse(&out(2, "", "")), Look::Nothing);
        assert_eq!(parse(&out(8, "", "blkid: ambivalent result")), Look::Several);
        // Exit code 2 also stands for a device that could not be read.
        assert_eq!(
            parse(&out(2, "", "blkid: error: /dev/sda: Permission denied")),
            Look::Failed("not root".to_owned())
        );
        assert!(matches!(parse(&out(2, "", "blkid: error: /dev/sda: Input/output error")), Look::Failed(_)));
        assert!(matches!(parse(&Output::default()), Look::Failed(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC*") {
            let _ = signature(&text);
            proptest::prop_assert_eq!(unescape(&text.replace('\\', "\\x5c")), text);
        }
    }
}
