//! What differs between two texts, line by line.

use std::fmt::Write as _;

use serde::Serialize;

/// What differs between two generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// site.toml as a unified diff; empty if it is the same.
    pub site: String,
    /// Whether secrets.toml differs. What it says is not shown.
    pub secrets: bool,
}

/// Lines of context around a change.
const CONTEXT: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Same,
    Out,
    In,
}

/// A unified diff, with the names of both; empty if the texts are equal.
pub fn unified(old: &str, new: &str, names: (&str, &str)) -> String {
    if old == new {
        return String::new();
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let script = script(&a, &b);
    let mut out = format!("--- {}\n+++ {}\n", names.0, names.1);
    let changes: Vec<usize> = (0..script.len()).filter(|i| script[*i] != Line::Same).collect();
    let mut next = 0;
    while next < changes.len() {
        let start = changes[next].saturating_sub(CONTEXT);
        let mut last = changes[next];
        while next < changes.len() && changes[next] <= last + 2 * CONTEXT + 1 {
            last = changes[next];
            next += 1;
        }
        let end = (last + CONTEXT + 1).min(script.len());
        hunk(&mut out, &script, start..end, &a, &b);
    }
    out
}

fn hunk(out: &mut String, script: &[Line], range: std::ops::Range<usize>, a: &[&str], b: &[&str]) {
    let count = |lines: &[Line], not: Line| lines.iter().filter(|l| **l != not).count();
    let (mut i, mut j) = (count(&script[..range.start], Line::In), count(&script[..range.start], Line::Out));
    let lines = &script[range];
    let (olds, news) = (count(lines, Line::In), count(lines, Line::Out));
    // An empty side is said to begin at the line before.
    let at = |start: usize, count: usize| if count == 0 { start } else { start + 1 };
    // Writing into a String cannot fail.
    let _ = writeln!(out, "@@ -{},{olds} +{},{news} @@", at(i, olds), at(j, news));
    for line in lines {
        let (mark, text) = match line {
            Line::Same => (' ', a[i]),
            Line::Out => ('-', a[i]),
            Line::In => ('+', b[j]),
        };
        i += usize::from(*line != Line::In);
        j += usize::from(*line != Line::Out);
        let _ = write!(out, "{mark}{text}");
        if !text.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// By a longest common subsequence, after what is the same at both ends is put aside: sites are some thousand lines at most.
fn script(old: &[&str], new: &[&str]) -> Vec<Line> {
    let head = old.iter().zip(new).take_while(|(x, y)| x == y).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (x, y) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    // longest[i][j]: of x from i on and y from j on.
    let mut longest = vec![vec![0_u32; y.len() + 1]; x.len() + 1];
    for i in (0..x.len()).rev() {
        for j in (0..y.len()).rev() {
            longest[i][j] =
                if x[i] == y[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let mut lines = vec![Line::Same; head];
    let (mut i, mut j) = (0, 0);
    while i < x.len() || j < y.len() {
        let step = if i < x.len() && j < y.len() && x[i] == y[j] {
            Line::Same
        } else if j == y.len() || i < x.len() && longest[i + 1][j] >= longest[i][j + 1] {
            Line::Out
        } else {
            Line::In
        };
        i += usize::from(step != Line::In);
        j += usize::from(step != Line::Out);
        lines.push(step);
    }
    lines.extend(std::iter::repeat_n(Line::Same, tail));
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_is_shown_with_its_surroundings() {
        let lines = |n: std::ops::Range<u32>| n.map(|i| format!("line {i}\n")).collect::<Vec<_>>().concat();
        let old = lines(1..30);
        let new = lines(1..5) + "new\n" + &lines(6..30).replace("line 28\n", "").trim_end();
        assert_eq!(
            unified(&old, &new, ("1", "2")),
            "--- 1\n+++ 2\n@@ -2,7 +2,7 @@\n line 2\n line 3\n line 4\n-line 5\n+new\n line 6\n line 7\n line 8\n\
             @@ -25,5 +25,4 @@\n line 25\n line 26\n line 27\n-line 28\n-line 29\n+line 29\n\\ No newline at end of file\n"
        );
        assert_eq!(unified(&old, &old, ("1", "2")), "");
        assert_eq!(unified("", "a\n", ("1", "2")), "--- 1\n+++ 2\n@@ -0,0 +1,1 @@\n+a\n");
    }

    /// Follows a diff, as patch(1) does, but stricter: every line of context must be right.
    fn patched(old: &str, diff: &str) -> String {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut out, mut at) = (String::new(), 0);
        for line in diff.split_inclusive('\n').skip(2) {
            if let Some(rest) = line.strip_prefix("@@ -") {
                let (start, count) = rest.split_once(' ').unwrap().0.split_once(',').unwrap();
                let start: usize = start.parse().unwrap();
                let start = if count == "0" { start } else { start - 1 };
                out.extend(old[at..start].iter().copied());
                at = start;
                continue;
            }
            let (mark, text) = line.split_at(1);
            if mark != "+" {
                assert_eq!(old[at], text);
                at += 1;
            }
            if mark != "-" {
                out.push_str(text);
            }
        }
        out.extend(old[at..].iter().copied());
        out
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_old_to_new(
            old in prop::collection::vec("[a-d]\n", 0..40),
            new in prop::collection::vec("[a-d]\n", 0..40),
        ) {
            let (old, new) = (old.concat(), new.concat());
            prop_assert_eq!(patched(&old, &unified(&old, &new, ("a", "b"))), new);
        }
    }
}
