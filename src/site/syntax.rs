//! TOML itself: the tree of a text with what could be read of it, and where it isn't TOML.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Code, Problem},
    read::Node,
    source::Bytes,
};

/// What could be read, and the mistakes.
pub(super) struct Tree<'a> {
    pub(super) root: Node<'a>,
    problems: Vec<Problem>,
    text: &'a str,
}

/// Reads a text as TOML 1.0, going on after mistakes.
pub(super) fn tree(text: &str) -> Tree<'_> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    let all = errors.iter().map(|e| problem(text, &root, e.message(), e.span().unwrap_or(0..0)));
    let mut problems: Vec<Problem> = all.collect();
    // One slip often makes several errors: the first of a line is the one to read.
    problems.sort_by_key(|p| p.at.start);
    problems.dedup_by_key(|p| (p.code, line(text, p.at.start)));
    Tree { root, problems, text }
}

fn problem(text: &str, root: &Node<'_>, message: &str, at: Bytes) -> Problem {
    let token = text.get(at.clone()).unwrap_or_default().trim_matches(['"', '\'']);
    if !message.starts_with("duplicate key") {
        // The parser's words are fixed ones: they never repeat what stands in the file.
        return Problem::new(Code::Syntax, at, "").with("detail", message);
    }
    let mut first = Vec::new();
    keys_named(root, token, &mut first);
    first.retain(|key: &Bytes| key.start < at.start);
    let problem = Problem::new(Code::DuplicateKey, at, "").with("name", token);
    // Which of several it was can't be told from here.
    if let [only] = first.as_slice() { problem.other(only) } else { problem }
}

fn keys_named(node: &Node<'_>, name: &str, found: &mut Vec<Bytes>) {
    match node.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                if key.get_ref() == name {
                    found.push(key.span());
                }
                keys_named(value, name, found);
            }
        }
        DeValue::Array(array) => array.iter().for_each(|value| keys_named(value, name, found)),
        _ => {}
    }
}

impl Tree<'_> {
    /// The mistakes of the syntax together with those found in the tree. What may only be a consequence of broken syntax
    /// (something missing, something not found) is left out until the syntax is right.
    pub(super) fn with(self, found: Vec<Problem>) -> Vec<Problem> {
        let text = self.text;
        let broken: Vec<usize> =
            self.problems.iter().filter(|p| p.code == Code::Syntax).map(|p| line(text, p.at.start)).collect();
        let mut all = self.problems;
        all.extend(found.into_iter().filter(|p| {
            let consequence = matches!(
                p.code,
                Code::MissingKey
                    | Code::NoSuch
                    | Code::NoCamera
                    | Code::NoRecorder
                    | Code::NoVolume
                    | Code::NoSize
                    | Code::DiskOrPath
                    | Code::RecorderNeeded
                    | Code::ReasonNeeded
                    | Code::NoSub
                    | Code::NobodyHolds
            );
            // What stands nowhere was made up by the parser to go on.
            let made_up = p.at.is_empty();
            broken.is_empty() || !(consequence || made_up || broken.contains(&line(text, p.at.start)))
        }));
        all
    }
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count()
}
