//! From errors to causes of gaps, without secrets.

use std::time::Duration;

use crate::types::{Cause, CauseKind};

use super::config::Credentials;

/// Longest detail kept, in bytes: an error may quote what a camera sent.
const MAX_DETAIL: usize = 300;

/// What went wrong while the camera was asked to `doing`.
pub(super) fn from_retina(error: &retina::Error, doing: &str, credentials: Option<&Credentials>) -> Cause {
    let text = error.to_string();
    let kind = match error.status_code() {
        Some(401 | 403) => CauseKind::Credentials,
        Some(200..=299) => CauseKind::Protocol, // a success whose content makes no sense
        Some(_) => CauseKind::Camera,
        // retina keeps its kinds of error to itself; these beginnings are its Display forms of ConnectError,
        // RtspReadError, WriteError and Timeout.
        None if text.starts_with("Unable to connect") => CauseKind::Unreachable,
        None if text.contains("Server failed to respond to keepalive") || text == "Timeout" => CauseKind::Timeout,
        None if text.starts_with("Error reading from RTSP peer") || text.starts_with("Error writing to RTSP peer") => {
            CauseKind::Camera
        }
        None => CauseKind::Protocol,
    };
    // What follows an empty line is retina's context: addresses and positions, for a packet dump.
    let brief = text.split("\n\n").next().unwrap_or_default();
    Cause::new(kind, clean(&format!("{doing}: {brief}"), credentials))
}

/// The camera took longer than `limit` to `doing`.
pub(super) fn timeout(doing: &str, limit: Duration) -> Cause {
    Cause::new(CauseKind::Timeout, format!("{doing}: no answer within {} s", limit.as_secs_f32()))
}

/// One line, bounded, and without the password even if the camera should echo it.
fn clean(text: &str, credentials: Option<&Credentials>) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(c) = credentials
        && !c.password.is_empty()
    {
        line = line.replace(&c.password, "***");
    }
    if line.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL).rev().find(|&i| line.is_char_boundary(i)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Adds what came later to the detail of a cause that stays the first one.
pub(super) fn and_later(first: &mut Cause, later: &Cause) {
    let note = format!("later {later}");
    if first.detail.contains(&note) || first.detail.len() + note.len() > MAX_DETAIL * 2 {
        return;
    }
    if !first.detail.is_empty() {
        first.detail.push_str("; ");
    }
    first.detail.push_str(&note);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_short_single_lines_without_the_password() {
        let c = Credentials { username: "viewer".into(), password: "s3cr3t".into() };
        let text = clean(&format!("a\nb s3cr3t {}", "é".repeat(400)), Some(&c));
        assert!(text.starts_with("a b *** é"));
        assert!(text.len() <= MAX_DETAIL + '…'.len_utf8());
        assert!(!text.contains("s3cr3t") && !format!("{c:?}").contains("viewer"));
    }

    #[test]
    fn the_first_cause_stays_and_later_ones_are_named_once() {
        let mut first = Cause::new(CauseKind::Camera, "PLAY: 503");
        let later = Cause::new(CauseKind::Unreachable, "");
        and_later(&mut first, &later);
        and_later(&mut first, &later);
        assert_eq!(first, Cause::new(CauseKind::Camera, "PLAY: 503; later unreachable"));
    }
}
