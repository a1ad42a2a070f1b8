use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::prelude::*;

use super::{testing::report, *};
use crate::types::wire::health::Witnessed;

#[test]
fn the_text_is_this() {
    insta::assert_snapshot!("text", render(&report(), Format::Text));
    insta::assert_snapshot!("openmetrics", render(&report(), Format::OpenMetrics));
}

#[test]
fn no_name_comes_out() {
    for format in [Format::Text, Format::OpenMetrics] {
        let text = render(&report(), format);
        for name in ["nap", "Lan", "Minh", "NAS", "custodian-web"] {
            assert!(!text.contains(name), "{name}");
        }
        assert!(text.contains("{camera=\"3\",stream=\"main\"}"));
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut blind = report();
    (blind.machine, blind.recording, blind.generation) = (Machine::default(), None, None);
    blind.cameras.clear();
    blind.volumes.clear();
    blind.cost_us = 0;
    let text = render(&blind, Format::Text);
    for absent in ["_camera_", "_volume_", "_retention_", "_clock_offset", "_machine_", "_generation", "_start_"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    assert!(
        text.contains("custodian_recorder_up 0\n")
            && text.contains("custodian_recorder_info{recorder=\"a\",version=\"\"} 1\n")
    );
    // A number that is none is not written.
    let mut mad = report();
    mad.machine.clock_offset = Some(f64::NAN);
    assert!(!render(&mad, Format::Text).contains("clock_offset"));
}

/// What a command says of a text.
fn judged(mut command: Command, text: &str) -> (bool, String) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("tests/run installs prometheus and python3-prometheus-client");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

#[test]
fn promtool_finds_nothing_to_say() {
    let promtool = |text: &str| {
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]);
        judged(command, text)
    };
    assert_eq!(promtool(&render(&report(), Format::Text)), (true, String::new()));
    // It would.
    let wrong = render(&report(), Format::Text).replace("_packets_total", "_packets");
    assert!(!promtool(&wrong).0);
}

/// Reads `OpenMetrics` on its input; prints the families' names, types and units, and what every label says.
const PARSER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for f in text_string_to_metric_families(sys.stdin.read()):
    print('#', f.name, f.type, f.unit or '-', len(f.samples))
    for s in f.samples:
        for k, v in s.labels.items():
            print(k, v.encode().hex())
";

fn parsed(text: &str) -> (bool, String) {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", PARSER]);
    judged(command, text)
}

#[test]
fn a_parser_of_others_reads_it() {
    let text = render(&report(), Format::OpenMetrics);
    let (good, read) = parsed(&text);
    assert!(good, "{read}");
    for family in families(&report()) {
        let head =
            format!("# {} {} {} ", family.name(), family.kind(Format::OpenMetrics), family.unit().unwrap_or("-"));
        assert!(read.contains(&head), "{head}: {read}");
    }
    assert!(!parsed(text.strip_suffix("# EOF\n").unwrap()).0, "it is strict");
}

/// Texts that it is hard to put between quotes.
fn hard() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just('\\'), Just('"'), Just('\n'), Just('n'), Just('}'), any::<char>()],
        0..12,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

/// The values of all labels `version` and `ledger`, read as the formats' grammar says, without this module's help.
fn read_back(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in
        text.lines().filter(|l| l.starts_with("custodian_build_info") || l.starts_with("custodian_ledger_entries"))
    {
        let mut chars = line.split_once("=\"").unwrap().1.chars();
        let mut value = String::new();
        loop {
            match chars.next().unwrap() {
                '"' => break,
                '\\' => value.push(match chars.next().unwrap() {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    other => panic!("\\{other}"),
                }),
                c => value.push(c),
            }
        }
        assert!(chars.as_str().starts_with("} "), "{line}");
        found.push(value);
    }
    found
}

proptest! {
    #[test]
    fn any_label_is_escaped_rightly(version in hard(), ledger in hard()) {
        let mut odd = report();
        odd.version.clone_from(&version);
        odd.checkpoints = vec![Witnessed { ledger: ledger.clone(), ..odd.checkpoints.remove(0) }];
        for format in [Format::Text, Format::OpenMetrics] {
            // Lines end at LF only; lines() would take a CR from before it, which no value stands before.
            prop_assert_eq!(read_back(&render(&odd, format)), vec![version.clone(), ledger.clone()]);
        }
    }
}

#[test]
fn a_parser_of_others_reads_hard_labels() {
    let mut odd = report();
    odd.version = "a\\n\"b\n\\ }{=, đ#".to_owned();
    let (good, read) = parsed(&render(&odd, Format::OpenMetrics));
    let hex = odd.version.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert!(good && read.contains(&format!("version {hex}\n")), "{read}");
}

#[test]
fn the_format_that_is_preferred_is_chosen() {
    for (accept, wanted) in [
        (None, Format::Text),
        (Some("*/*"), Format::Text),
        (Some("text/plain"), Format::Text),
        (Some("application/openmetrics-text"), Format::OpenMetrics),
        (Some("Application/OpenMetrics-Text; Version=1.0.0"), Format::OpenMetrics),
        (Some("application/openmetrics-text;version=0.0.1"), Format::Text),
        (Some("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"), Format::Text),
        (Some("application/openmetrics-text;q=0"), Format::Text),
        (Some("application/openmetrics-text;q=0.3,text/plain;q=0.5"), Format::Text),
        (Some("application/openmetrics-text;q=nonsense"), Format::Text),
        (
            // Prometheus 2.42.
            Some(
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ),
            Format::OpenMetrics,
        ),
    ] {
        assert_eq!(Format::asked(accept), wanted, "{accept:?}");
    }
}

#[test]
fn the_documentation_lists_each_and_no_other() {
    let page = include_str!("../../../docs/ref/health.md");
    let rows: Vec<_> = page.lines().filter(|l| l.starts_with("| `custodian_")).collect();
    let wanted: Vec<_> = families(&report())
        .iter()
        .map(|f| {
            let kind = f.kind(Format::OpenMetrics);
            format!("| `{}` | {kind} | {} | ", f.sample_name(), f.unit().unwrap_or("–"))
        })
        .collect();
    for head in &wanted {
        assert_eq!(rows.iter().filter(|row| row.starts_with(head)).count(), 1, "{head}");
    }
    assert_eq!(rows.len(), wanted.len(), "a row of no metric");
}
