//! Against real servers, if there are any: docs/ref/health.md says how to have one.
//! `cargo test --lib -- --ignored health::push::tests::real`

use super::*;

/// Tells the monitor at the address in the variable `name` that all is well, that it is not, and that it is again.
async fn tells(kind: PushKind, name: &str) {
    let url = std::env::var(name).unwrap_or_else(|_| panic!("{name} is to hold the address of a monitor"));
    let pusher = pusher(kind, &url);
    for level in [Level::Ok, Level::Warn, Level::Fail, Level::Ok] {
        assert_eq!(pusher.tell(level).await, Verdict::Taken { witnessed: true }, "{level}");
    }
    let mut strange = url::Url::parse(&url).unwrap();
    strange.path_segments_mut().unwrap().pop_if_empty().pop().push("00000000-0000-4000-8000-000000000000");
    let verdict = super::pusher(kind, strange.as_str()).tell(Level::Ok).await;
    assert!(matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
}

#[tokio::test]
#[ignore = "wants a healthchecks server"]
async fn healthchecks() {
    tells(PushKind::Healthchecks, "CUSTODIAN_TEST_HEALTHCHECKS_URL").await;
}

#[tokio::test]
#[ignore = "wants an Uptime Kuma server"]
async fn uptime_kuma() {
    tells(PushKind::UptimeKuma, "CUSTODIAN_TEST_KUMA_URL").await;
}
