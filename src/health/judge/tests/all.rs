//! What is true of every judgement.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::{
    health::{
        facts::Facts,
        fixture::{self, troubles},
        judge::{Code, Kind, code, judge},
    },
    types::wire::health::{Finding, Level, Probe},
};

fn check(found: &[Finding]) {
    let mut known = BTreeSet::new();
    for f in found {
        assert!(known.insert((f.probe, f.subject.clone())), "two findings of {} {:?}", f.probe, f.subject);
        let code = Code::find(f.probe, &f.code).unwrap_or_else(|| panic!("{} {}", f.probe, f.code));
        assert_eq!(code.kind == Kind::Fine, f.level == Level::Ok, "{} {}", f.probe, f.code);
        let values: Vec<&str> = f.values.keys().map(String::as_str).collect();
        let mut wanted = code.values.to_vec();
        wanted.sort_unstable();
        assert_eq!(values, wanted, "{} {}", f.probe, f.code);
    }
    assert!(found.is_sorted_by_key(|f| f.probe), "in the order of the probes");
}

#[test]
fn a_recorder_that_is_well_is_told_so_of_every_probe() {
    let found = judge(&fixture::well(10));
    check(&found);
    assert!(found.iter().all(|f| f.level == Level::Ok), "{found:?}");
    let probes: BTreeSet<Probe> = found.iter().map(|f| f.probe).collect();
    assert_eq!(probes, Probe::ALL.into());
}

/// The texts are checked for every code; this says that no code is there for nothing.
#[test]
fn everything_that_can_be_said_is_said_of_something() {
    let mut said: BTreeMap<(Probe, String), usize> = BTreeMap::new();
    let mut put = |facts: &Facts| {
        let found = judge(facts);
        check(&found);
        for f in found {
            *said.entry((f.probe, f.code)).or_default() += 1;
        }
    };
    (0..troubles::ALL.len()).for_each(|n| put(&troubles::facts(&[n])));
    put(&fixture::of(fixture::site(2, "enabled = false", "")));
    let all = code::ALL.iter().copied().flatten();
    let never: Vec<_> = all.filter(|c| !said.contains_key(&(c.probe, c.text.to_owned()))).collect();
    assert!(never.is_empty(), "{never:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_happens_together(which in prop::collection::vec(0..troubles::ALL.len(), 2..12)) {
        check(&judge(&troubles::facts(&which)));
    }
}
