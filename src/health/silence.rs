//! Work that was announced: what is found meanwhile is shown, and nobody is alarmed.

use crate::types::{
    WallNs,
    wire::health::{Finding, Level, Silence, Subject, Value},
};

/// Sets until when each finding is silenced. What is in order is not; what no silence names is not either: a silence of cameras covers a
/// finding on several cameras only if, together with others, it names all of them.
pub fn apply(silences: &[Silence], findings: &mut [Finding], now: WallNs) {
    let active: Vec<&Silence> = silences.iter().filter(|s| s.from <= now && now < s.until).collect();
    for finding in findings {
        finding.silenced = if finding.level == Level::Ok { None } else { until(&active, finding) };
    }
}

/// Until when a finding is silenced: the end of the longest silence that covers it.
fn until(active: &[&Silence], finding: &Finding) -> Option<WallNs> {
    let of_probe = |s: &&&Silence| s.probes.is_empty() || s.probes.contains(&finding.probe);
    let of = |camera: Option<u32>| {
        let covers = |s: &&&Silence| s.cameras.is_empty() || camera.is_some_and(|c| s.cameras.contains(&c));
        active.iter().filter(of_probe).filter(covers).map(|s| s.until).max()
    };
    match (&finding.subject, finding.values.get("cameras")) {
        (Some(Subject::Camera(camera)), _) => of(Some(*camera)),
        // All of them must be covered, and the first one that no longer is ends it.
        (None, Some(Value::Cameras(cameras))) if !cameras.is_empty() => {
            cameras.iter().map(|c| of(Some(*c))).min().flatten()
        }
        _ => of(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::wire::health::Probe;

    fn silence(from: i64, until: i64, probes: &[Probe], cameras: &[u32]) -> Silence {
        Silence {
            id: uuid::Uuid::nil(),
            from: WallNs(from),
            until: WallNs(until),
            probes: probes.to_vec(),
            cameras: cameras.to_vec(),
            by: "x".into(),
            reason: "y".into(),
        }
    }

    fn finding(probe: Probe, subject: Option<Subject>) -> Finding {
        Finding::new(probe, subject, Level::Fail, "late", WallNs(0))
    }

    fn silenced(silences: &[Silence], finding: Finding, now: i64) -> Option<i64> {
        let mut all = [finding];
        apply(silences, &mut all, WallNs(now));
        all[0].silenced.map(|t| t.0)
    }

    #[test]
    fn a_silence_begins_and_ends_by_itself() {
        let all = [silence(10, 20, &[], &[])];
        let look = |now| silenced(&all, finding(Probe::Load, None), now);
        assert_eq!([9, 10, 19, 20].map(look), [None, Some(20), Some(20), None]);
        // One that was silenced before is not for ever.
        let mut old = [finding(Probe::Load, None)];
        old[0].silenced = Some(WallNs(20));
        apply(&all, &mut old, WallNs(21));
        assert_eq!(old[0].silenced, None);
        // What is in order is not silenced.
        let ok = Finding { level: Level::Ok, ..finding(Probe::Load, None) };
        assert_eq!(silenced(&all, ok, 15), None);
    }

    #[test]
    fn the_longest_of_several_counts() {
        let all = [silence(0, 20, &[], &[]), silence(5, 50, &[Probe::Load], &[]), silence(0, 90, &[Probe::Disk], &[])];
        assert_eq!(silenced(&all, finding(Probe::Load, None), 10), Some(50));
        assert_eq!(silenced(&all, finding(Probe::Memory, None), 10), Some(20));
        assert_eq!(silenced(&all, finding(Probe::Memory, None), 30), None);
    }

    #[test]
    fn what_is_not_named_is_not_hidden() {
        let cameras = [silence(0, 20, &[Probe::Footage], &[3, 4]), silence(0, 30, &[], &[4, 5])];
        let camera = |probe, n| silenced(&cameras, finding(probe, Some(Subject::Camera(n))), 10);
        assert_eq!([3, 4, 5, 6].map(|n| camera(Probe::Footage, n)), [Some(20), Some(30), Some(30), None]);
        assert_eq!(camera(Probe::Gaps, 3), None);
        assert_eq!(silenced(&cameras, finding(Probe::Footage, None), 10), None);
        assert_eq!(silenced(&cameras, finding(Probe::Footage, Some(Subject::Volume("a1".parse().unwrap()))), 10), None);
        let several = |all: &[u32]| {
            let finding = finding(Probe::Footage, None).with("cameras", Value::Cameras(all.to_vec()));
            silenced(&cameras, finding, 10)
        };
        assert_eq!(several(&[3, 4, 5]), Some(20), "until the first one is no longer covered");
        assert_eq!(several(&[3, 4, 5, 6]), None);
        assert_eq!(several(&[]), None);
    }
}
