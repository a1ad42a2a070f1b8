use super::*;

#[test]
fn what_nobody_touched_has_no_finding() {
    let school = School::new();
    let (code, findings, result) = school.verify(&[]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?}");
    assert_eq!(result["segments"], school.rows.len());
    let bytes: u64 = school.rows.iter().map(|r| r.bytes).sum();
    assert_eq!((&result["bytes"], &result["complete"]), (&bytes.into(), &true.into()));
    let out = school.custodian(&[]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && text.contains("all is as it was recorded"), "{text}");
}
