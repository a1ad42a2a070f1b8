//! `Range: bytes=…` (RFC 9110 section 14).

/// Bytes `first..=last` of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte, from 0.
    pub first: u64,
    /// Last byte, inclusive; never before `first`.
    pub last: u64,
}

impl ByteRange {
    /// Bytes in it; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a byte range is never empty")]
    pub fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The value of `Content-Range` for a body of `complete` bytes.
    pub fn content_range(self, complete: u64) -> String {
        format!("bytes {}-{}/{complete}", self.first, self.last)
    }
}

/// What a `Range` header asks of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no header, a unit or a syntax that is not understood, or several ranges, all of which a server may
    /// ignore (section 14.2).
    Whole,
    /// One part: answer 206.
    Part(ByteRange),
    /// Nothing that exists: answer 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// Reads a `Range` header's value against a body of `complete` bytes. Open-ended (`5-`) and suffix (`-5`) ranges are
/// clipped to the body. Several ranges get the whole body: multipart answers are not made.
pub fn parse(value: &str, complete: u64) -> Wanted {
    let Some((unit, set)) = value.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Whole };
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Wanted::Whole,
        (true, false) => match number(last) {
            None => Wanted::Whole,
            Some(suffix) if suffix == 0 || complete == 0 => Wanted::Unsatisfiable,
            Some(suffix) => Wanted::Part(ByteRange { first: complete.saturating_sub(suffix), last: complete - 1 }),
        },
        (false, open) => {
            let Some(first) = number(first) else { return Wanted::Whole };
            let Some(last) = (if open { Some(u64::MAX) } else { number(last) }) else { return Wanted::Whole };
            if last < first {
                // A syntax error, not an unsatisfiable range (section 14.1.1).
                Wanted::Whole
            } else if first >= complete {
                Wanted::Unsatisfiable
            } else {
                Wanted::Part(ByteRange { first, last: last.min(complete - 1) })
            }
        }
    }
}

/// `1*DIGIT`; a number too large for any file counts as the largest.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(first: u64, last: u64) -> Wanted {
        Wanted::Part(ByteRange { first, last })
    }

    #[test]
    fn the_examples_of_rfc_9110() {
        assert_eq!(parse("bytes=0-499", 10_000), part(0, 499));
        assert_eq!(parse("bytes=500-999", 10_000), part(500, 999));
        assert_eq!(parse("bytes=-500", 10_000), part(9_500, 9_999));
        assert_eq!(parse("bytes=9500-", 10_000), part(9_500, 9_999));
        assert_eq!(parse("bytes=0-0", 10_000), part(0, 0));
        assert_eq!(parse("bytes=0-0,-1", 10_000), Wanted::Whole);
    }

    #[test]
    fn ranges_are_clipped_to_the_body() {
        assert_eq!(parse("bytes=-500", 100), part(0, 99));
        assert_eq!(parse("bytes=50-1000", 100), part(50, 99));
        assert_eq!(parse("BYTES = 50-99999999999999999999999", 100), part(50, 99));
        assert_eq!(ByteRange { first: 50, last: 99 }.content_range(100), "bytes 50-99/100");
    }

    #[test]
    fn what_lies_outside_is_unsatisfiable() {
        assert_eq!(parse("bytes=100-", 100), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=-0", 100), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-4",
            "pages=1-2",
            "bytes=+1-2",
            "bytes=1--2",
        ] {
            assert_eq!(parse(text, 100), Wanted::Whole, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_part_always_lies_within(text in "(bytes=)?[0-9a-z,= -]{0,24}", complete: u64) {
            if let Wanted::Part(range) = parse(&text, complete) {
                prop_assert!(range.first <= range.last && range.last < complete);
                prop_assert!(range.len() >= 1 && range.len() <= complete);
            }
        }

        #[test]
        fn any_text_is_survived(text: String, complete: u64) {
            let _ = parse(&text, complete);
        }
    }
}
