//! The wall and a camera's own page.

use custodian::types::{Cause, CauseKind, Lang, wire::StreamState};
use serde_json::Value;

use super::fake::{FakeCamera, HOUR, clip, now};
use super::{
    Served,
    driver::{Browser, PICTURE},
};

fn cameras(count: usize) -> Vec<FakeCamera> {
    let from = now().offset(-HOUR);
    (1..=count).map(|n| FakeCamera::new(&format!("gate-{n}"), &format!("Cổng {n}"), from)).collect()
}

const MOVING: &str =
    "return videos().length > 0 && videos().every((v) => v.readyState >= 2 && !v.paused && v.currentTime > 0)";

fn script(text: &str) -> String {
    format!("{PICTURE}{text}")
}

#[tokio::test(flavor = "multi_thread")]
async fn live_pictures_move_and_are_less_than_a_second_behind() {
    let served = Served::start(cameras(4)).await;
    let browser = Browser::start().await;
    browser.goto(&served.url("/")).await;
    browser.until("four tiles", "return document.querySelectorAll('.tile video').length", |v| v == 4).await;
    browser.holds("moving pictures", &script(MOVING)).await;
    browser
        .holds(
            "a badge each",
            "return [...document.querySelectorAll('.badge')].every((b) => /^[0-9.]+ s behind$/.test(b.textContent))",
        )
        .await;

    // By the pixels: which picture is shown, and which one should be by now.
    let start = served.fake.live_start().0 / 1_000_000;
    let behind = script(&format!(
        "return videos().map((v) => {{
           const newest = Math.floor((Date.now() - {start}) * {rate} / 1000) % {frames};
           return ((newest - picture(v) + {frames}) % {frames}) / {rate};
         }})",
        rate = clip::RATE,
        frames = clip::FRAMES,
    ));
    let near = |v: &Value| v.as_array().is_some_and(|all| all.iter().all(|s| s.as_f64().is_some_and(|s| s < 1.0)));
    browser.until("pictures less than a second old", &behind, near).await;

    let before = browser.js(&script("return videos().map((v) => [picture(v), v.currentTime])")).await;
    for tile in 0..4 {
        let moved = script(&format!(
            "const v = videos()[{tile}]; return picture(v) !== {} && v.currentTime > {}",
            before[tile][0], before[tile][1]
        ));
        browser.holds("a picture that changes", &moved).await;
    }
    browser.until("pictures that stay near", &behind, near).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_down_says_why_in_each_language() {
    let served = Served::in_language(cameras(1), Some(Lang::Vi)).await;
    let cause = Cause::new(CauseKind::Credentials, "401 Unauthorized");
    served.fake.fault(|f| f.state = Some((StreamState::Waiting, Some(cause))));
    let browser = Browser::start().await;
    browser.goto(&served.url("/")).await;
    let word = "return document.querySelector('.tile .word')?.textContent";
    browser.until("Vietnamese", word, |v| v == "Camera từ chối mật khẩu").await;
    assert_eq!(browser.js("return document.querySelector('.tile .detail').textContent").await, "401 Unauthorized");
    assert_eq!(browser.js("return document.documentElement.lang").await, "vi");
    for (lang, text) in [("zh", "摄像机拒绝密码"), ("en", "Camera refuses the password")] {
        browser.find(&format!("button[data-lang={lang}]")).await.click().await.unwrap();
        browser.until("the other language", word, |v| v == text).await;
        assert_eq!(browser.js("return document.documentElement.lang").await, lang);
    }
    // The choice outlives the page, and stands in its address.
    assert!(browser.js("return location.search").await.as_str().unwrap().contains("lang=en"));
    browser.goto(&served.url("/")).await;
    browser.until("the language kept", word, |v| v == "Camera refuses the password").await;

    served.fake.fault(|f| f.state = None);
    browser.holds("a moving picture", &script(MOVING)).await;
    browser.holds("no cover", "return document.querySelector('.tile .cover').hidden").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_comes_back_after_the_recorder_was_away() {
    let mut served = Served::start(cameras(2)).await;
    let browser = Browser::start().await;
    browser.goto(&served.url("/")).await;
    browser.holds("moving pictures", &script(MOVING)).await;
    served.fake.down();
    browser
        .until(
            "a word on each tile",
            "return [...document.querySelectorAll('.tile .word')].map((w) => w.textContent)",
            |v| v.as_array().is_some_and(|all| all.iter().all(|w| w == "The recorder does not answer; trying again")),
        )
        .await;
    let stood = browser.js(&script("return videos().map((v) => v.currentTime)")).await;
    assert_eq!(stood.as_array().unwrap().len(), 2);
    served.fake.up();
    browser.holds("moving pictures again", &script(MOVING)).await;
    browser.holds("no cover", "return [...document.querySelectorAll('.tile .cover')].every((c) => c.hidden)").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_opened_while_the_recorder_is_away_shows_a_banner_and_recovers() {
    let mut served = Served::start(cameras(1)).await;
    served.fake.down();
    let browser = Browser::start().await;
    browser.goto(&served.url("/")).await;
    let banner = "const b = document.querySelector('.banner'); return b && !b.hidden ? b.textContent : ''";
    browser.until("the banner", banner, |v| v.as_str().is_some_and(|t| t.contains("does not answer"))).await;
    served.fake.up();
    browser.holds("moving pictures", &script(MOVING)).await;
    browser.until("no banner", banner, |v| v == "").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_in_another_size_goes_on_in_the_same_tile() {
    let served = Served::start(cameras(1)).await;
    let browser = Browser::start().await;
    browser.goto(&served.url("/")).await;
    browser.holds("a moving picture", &script(MOVING)).await;
    assert_eq!(browser.js(&script("return videos()[0].videoWidth")).await, 320);
    served.fake.fault(|f| f.runs += 1);
    browser.until("the new size", &script("return videos()[0].videoWidth"), |v| v == 480).await;
    let at = browser.js(&script("return videos()[0].currentTime")).await;
    browser.holds("a moving picture", &script(&format!("return videos()[0].currentTime > {at} + 1"))).await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_camera_shows_main_and_h265_falls_back_to_sub() {
    let mut both = cameras(2);
    both[1].main.hevc = true;
    let served = Served::start(both).await;
    let browser = Browser::start().await;
    browser.goto(&served.url("/")).await;
    browser.holds("two tiles", "return document.querySelectorAll('.tile a').length === 2").await;
    browser.find(".tile a").await.click().await.unwrap();
    browser.until("main", &script("return videos()[0]?.videoWidth"), |v| v == 640).await;
    assert_eq!(browser.js("return document.querySelector('h1').textContent").await, "Cổng 1");
    let link = browser.js("return document.querySelector('a.button').getAttribute('href')").await;
    assert_eq!(link, "/playback?camera=gate-1");

    // Debian's Chromium decodes no H.265; where one does, there is nothing to fall back from.
    browser.goto(&served.url("/camera/gate-2")).await;
    let plays = "return MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L63.90\"')";
    if browser.js(plays).await == false {
        browser.until("sub", &script("return videos()[0]?.videoWidth"), |v| v == 320).await;
        let note = "return document.querySelector('.note').textContent";
        browser.until("a word", note, |v| v == "This browser cannot play H.265; the small picture is shown").await;
    } else {
        browser.until("main", &script("return videos()[0]?.videoWidth"), |v| v == 640).await;
    }
    browser.goto(&served.url("/camera/nobody")).await;
    let word = "return document.querySelector('.stage .word')?.textContent";
    browser.until("a word", word, |v| v == "There is no such camera here").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn walls_of_any_size_fit_their_window() {
    for count in [1, 5, 16, 64] {
        let served = Served::start(cameras(count)).await;
        served.fake.fault(|f| f.state = Some((StreamState::Connecting, None)));
        for (width, height) in [(1366, 900), (500, 800)] {
            let browser = Browser::sized(width, height).await;
            browser.goto(&served.url("/")).await;
            let tiles = "return document.querySelectorAll('.tile').length";
            browser.until("all tiles", tiles, |v| *v == count).await;
            let wide = "return document.documentElement.scrollWidth - window.innerWidth";
            assert!(browser.js(wide).await.as_i64().unwrap() <= 0, "{count} on {width} scrolls sideways");
            let least =
                "return Math.min(...[...document.querySelectorAll('.tile .picture')].map((p) => p.clientWidth))";
            let least = browser.js(least).await.as_i64().unwrap();
            assert!(least >= 120, "{count} on {width}: a tile {least} wide");
            if width == 1366 && count <= 16 {
                let high = "return document.documentElement.scrollHeight - window.innerHeight";
                assert!(browser.js(high).await.as_i64().unwrap() <= 0, "{count} on {width} scrolls down");
            }
            browser.quit().await;
        }
    }
}
