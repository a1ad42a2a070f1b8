//! How long footage is kept, on the page of the timeline.

use custodian::types::{
    ByteSize, WallNs,
    wire::{Breaks, CameraKept, CameraRetention, Kept},
};

use super::{
    Served,
    driver::Browser,
    fake::{FakeCamera, HOUR, now},
};

fn kept(id: &str) -> CameraKept {
    CameraKept {
        camera: CameraRetention {
            camera: id.parse().unwrap(),
            name: id.to_owned(),
            volumes: vec!["a1".parse().unwrap()],
            min_days: Some(20),
            max_days: Some(30),
            priority: 5,
            recorded: true,
            per_day: ByteSize(0),
            held: ByteSize(0),
            kept: Some(Kept {
                at: WallNs(0),
                days: 23.96,
                oldest: None,
                gap_seconds: 0,
                unreadable_seconds: 0,
                lost_seconds: 0,
                young: false,
            }),
            steady_days: Some(24.0),
            affected_day: None,
            stopped: false,
            substream: false,
        },
        breaks: None,
        suspended: false,
    }
}

fn camera(id: &str, name: &str, kept: Option<CameraKept>) -> FakeCamera {
    FakeCamera { kept, ..FakeCamera::new(id, name, now().offset(-HOUR)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_says_how_long_and_until_when() {
    let mut short = kept("hall");
    short.breaks = Some(Breaks { day: 5, at: WallNs(0), missing: ByteSize(41_700_000_000) });
    let mut broken = kept("yard");
    broken.camera.stopped = true;
    broken.camera.kept.as_mut().unwrap().lost_seconds = 3700;
    let served = Served::start(vec![
        camera("gate", "Cổng", Some(kept("gate"))),
        camera("hall", "Sảnh", Some(short)),
        camera("yard", "Sân", Some(broken)),
        camera("new", "Mới", None),
    ])
    .await;
    let browser = Browser::start().await;
    browser.goto(&served.url("/playback?camera=gate,hall,yard,new")).await;
    browser.holds("a line for each that is known", "return document.querySelectorAll('.kept li').length === 3").await;
    let lines = async || {
        let found = browser
            .js("return [...document.querySelectorAll('.kept li')].map((l) => [l.dataset.camera, l.dataset.mood, l.textContent])")
            .await;
        serde_json::from_value::<Vec<(String, String, String)>>(found).unwrap()
    };
    let is = |camera: &str, mood: &str, text: &str| (camera.to_owned(), mood.to_owned(), text.to_owned());
    assert_eq!(
        lines().await,
        [
            is(
                "gate",
                "good",
                "Cổng 23.9 days are kept · 20 promised · 30 at most · the promise holds for the next 60 days"
            ),
            is(
                "hall",
                "warn",
                "Sảnh 23.9 days are kept · 20 promised · 30 at most · the promise breaks in 5 days: 42 GB are missing"
            ),
            is(
                "yard",
                "bad",
                "Sân 23.9 days are kept · 20 promised · 30 at most · promise broken: 1 h 1 min are lost · not recorded: the disks are full of footage that must be kept"
            ),
        ]
    );
    for (lang, promised) in [("vi", "hứa giữ 20 ngày"), ("zh", "承诺 20 天")] {
        browser.js(&format!("document.querySelector('button[data-lang={lang}]').click()")).await;
        let said = format!("return document.querySelector('.kept li').textContent.includes('{promised}')");
        browser.holds("its words", &said).await;
    }
    if let Ok(dir) = std::env::var("CUSTODIAN_PICTURES") {
        browser.js("document.querySelector('.kept').scrollIntoView(false)").await;
        std::fs::write(std::path::Path::new(&dir).join("kept.png"), browser.picture().await).unwrap();
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.quit().await;
}
