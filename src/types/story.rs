//! Errors in words.

/// The whole story in one line: an error, and what lies beneath it.
pub fn story(e: &dyn std::error::Error) -> String {
    let beneath = std::iter::successors(e.source(), |e| e.source());
    beneath.fold(e.to_string(), |text, e| format!("{text}: {e}"))
}
