//! The playback page.

use custodian::types::{Cause, CauseKind, WallNs};
use serde_json::Value;

use super::{
    Served,
    driver::{Browser, PICTURE},
    fake::{FakeCamera, HOUR, MINUTE, SECOND, clip, now},
};

/// A whole second in the past.
fn ago(ns: i64) -> WallNs {
    WallNs((now().0 - ns) / SECOND * SECOND)
}

fn ms(t: WallNs) -> i64 {
    t.0 / 1_000_000
}

fn script(text: &str) -> String {
    format!("{PICTURE}const {{ master, timeline, footage, zone }} = window.custodian ?? {{}}; {text}")
}

/// An address of the page. Nothing plays until a test says so.
fn page(cameras: &str, at: WallNs) -> String {
    format!("/playback?camera={cameras}&t={at}")
}

async fn open(browser: &Browser, served: &Served, cameras: &str, at: WallNs) {
    browser.goto(&served.url(&page(cameras, at))).await;
    browser.holds("the page", "return window.custodian?.master.players.length > 0").await;
}

/// Number of the picture at `t` of a run that began at `start`.
fn number(start: WallNs, t: WallNs) -> i64 {
    (t.0 - start.0) * i64::try_from(clip::RATE).unwrap() / SECOND % i64::try_from(clip::FRAMES).unwrap()
}

const SEEN: &str =
    "return videos().every((v) => v.readyState >= 2 && !v.seeking) && master.players.every((p) => p.state === 'ready')";

#[tokio::test(flavor = "multi_thread")]
async fn any_second_can_be_gone_to() {
    let start = ago(5 * HOUR);
    let served = Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", start)]).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1", start.offset(HOUR)).await;
    browser.holds("a picture", &script(SEEN)).await;
    browser.js(&script("master.play(false)")).await;
    // By the script, by the field in the site's zone, by a click on the timeline.
    for seconds in [3 * 3600 + 17, 29, 4 * 3600 + 1801, 3 * 3600 + 20] {
        let t = start.offset(seconds * SECOND);
        browser
            .js(&script(&format!(
                "const field = document.querySelector('#moment'); field.value = zone.input({});
                 field.form.requestSubmit();",
                ms(t)
            )))
            .await;
        let shown = script(&format!("return !videos()[0].seeking && picture(videos()[0]) === {}", number(start, t)));
        browser.holds("the picture of that second", &shown).await;
        assert_eq!(browser.js(&script("return Math.round(master.t)")).await, ms(t));
    }
    assert!(browser.js("return location.search").await.as_str().unwrap().contains("camera=gate-1"));
    let field = browser.js(&script(&format!("return zone.input({})", ms(WallNs(1_795_362_956 * SECOND))))).await;
    assert_eq!(field, "2026-11-22T22:55:56", "times are the site's, UTC+7");

    // A click in the middle of the timeline goes to what the timeline has there.
    browser.js(&script(&format!("timeline.view({0}, {0} + 3600e3)", ms(start) + 2 * 3_600_000))).await;
    browser.find(".timeline").await.click().await.unwrap();
    let middle = script("return Math.abs(master.t - (timeline.from + timeline.to) / 2) < 10e3");
    browser.holds("the middle", &middle).await;
    browser.holds("a picture", &script(SEEN)).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_stepped_one_by_one() {
    let start = ago(2 * HOUR);
    let served = Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", start)]).await;
    let browser = Browser::start().await;
    let t = start.offset(HOUR + 7 * SECOND);
    open(&browser, &served, "gate-1", t).await;
    browser.holds("a picture", &script(SEEN)).await;
    browser.js(&script(&format!("master.play(false); master.seek({})", ms(t)))).await;
    let mut expected = number(start, t);
    let is = |n: i64| script(&format!("return !videos()[0].seeking && picture(videos()[0]) === {n}"));
    browser.holds("where to begin", &is(expected)).await;
    for (button, by) in [("frame_on", 1), ("frame_on", 1), ("frame_on", 1), ("frame_back", -1), ("frame_back", -1)] {
        browser.find(&format!("button[data-do={button}]")).await.click().await.unwrap();
        expected += by;
        browser.holds("the neighbouring picture", &is(expected)).await;
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_found_named_and_leapt_over() {
    let start = ago(6 * HOUR);
    let first = start.offset(2 * HOUR);
    let second = start.offset(4 * HOUR);
    let camera = FakeCamera::new("gate-1", "Cổng 1", start)
        .gap(first, 10 * MINUTE, Cause::new(CauseKind::Disk, "EIO on a1"))
        .gap(second, 45 * SECOND, Cause::new(CauseKind::Restart, ""));
    let served = Served::start(vec![camera]).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1", start.offset(HOUR)).await;
    browser.holds("a picture", &script(SEEN)).await;
    browser.js(&script("master.play(false)")).await;
    let note = "return document.querySelector('.toast').textContent";
    let at = script("return Math.round(master.t)");

    browser.find("button[data-do=gap_on]").await.click().await.unwrap();
    browser.until("the first gap", &at, |v| *v == ms(first) - 2000).await;
    browser.until("its cause", note, |v| v == "Cổng 1: Disk trouble: could not be written · 10 min 0 s").await;
    browser.js("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }))").await;
    browser.until("the second gap", &at, |v| *v == ms(second) - 2000).await;
    browser.until("its cause", note, |v| v == "Cổng 1: Recorder was down without warning · 45 s").await;
    browser.find("button[data-do=gap_on]").await.click().await.unwrap();
    browser.until("no more", note, |v| v == "No later gap").await;
    browser.find("button[data-do=gap_back]").await.click().await.unwrap();
    browser.until("the first gap again", &at, |v| *v == ms(first) - 2000).await;

    // The table for screen readers says the same.
    let rows = "return [...document.querySelectorAll('.gaps tbody tr')].map((r) => [r.dataset.cause, r.cells[3].textContent, r.cells[4].textContent, r.cells[5].textContent])";
    let disk = serde_json::json!(["disk", "10 min 0 s", "Disk trouble: could not be written", "EIO on a1"]);
    browser.until("the row", rows, |v| v.as_array().is_some_and(|all| all.contains(&disk))).await;

    // Standing in the gap tells why there is nothing.
    browser.js(&script(&format!("master.seek({})", ms(first) + 60_000))).await;
    let word = "return document.querySelector('.player .word').textContent";
    browser.until("the cause", word, |v| v == "No footage here: Disk trouble: could not be written").await;

    // Playing leaps over it, says so, and goes on with what comes after.
    browser.js(&script(&format!("master.seek({}); master.play(true)", ms(first) - 1000))).await;
    browser
        .until("a leap", note, |v| v.as_str().is_some_and(|n| n.contains("without footage skipped: Disk trouble")))
        .await;
    browser.holds("what comes after", &script(&format!("return master.t > {} + 500", ms(first) + 600_000))).await;
    browser.holds("a picture", &script(SEEN)).await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fastest_speed_is_sixteen() {
    let start = ago(3 * HOUR);
    let served = Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", start)]).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1", start.offset(HOUR)).await;
    browser.holds("a picture", &script(SEEN)).await;
    browser
        .js("const s = document.querySelector('#speed'); s.value = '16'; s.dispatchEvent(new Event('change'))")
        .await;
    let began = browser.js(&script("return [master.t, performance.now()]")).await;
    let rate = script(&format!(
        "const t = (performance.now() - {1}) / 1000; return t < 4 ? 0 : (master.t - {0}) / 1000 / t",
        began[0], began[1]
    ));
    // On a busy machine the clock waits for the decoder; well above 8× it is 16× and not 8×.
    let rate = browser.until("four seconds of it", &rate, |v| v.as_f64().is_some_and(|r| r > 8.5)).await;
    assert!(rate.as_f64().unwrap() < 16.8, "{rate}");
    // The picture is the one of the clock.
    let off = script(&format!(
        "const n = Math.floor((master.t - {}) * {rate} / 1000) % {frames};
         const d = Math.abs(n - picture(videos()[0])); return Math.min(d, {frames} - d) / {rate}",
        ms(start),
        rate = clip::RATE,
        frames = clip::FRAMES
    ));
    browser.until("a picture near the clock", &off, |v| v.as_f64().is_some_and(|s| s < 16.0 * 0.3)).await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cameras_go_in_step() {
    let (one, two) = (ago(3 * HOUR), ago(3 * HOUR + 7 * MINUTE + 13 * SECOND));
    let cameras = vec![FakeCamera::new("gate-1", "Cổng 1", one), FakeCamera::new("yard-2", "Sân 2", two)];
    let served = Served::start(cameras).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1,yard-2", one.offset(HOUR)).await;
    browser.holds("pictures", &script(SEEN)).await;
    let began = browser.js(&script("return master.t")).await.as_f64().unwrap();
    browser.holds("three seconds of playing", &script(&format!("return master.t > {began} + 3000"))).await;
    // What each camera shows, as wall time within the minute of its own run, at one instant.
    let apart = script(&format!(
        "const wall = (v, start) => (picture(v) * 1000 / {rate} + start) % 60000;
         const [a, b] = videos(); const d = Math.abs(wall(a, {}) - wall(b, {})); return Math.min(d, 60000 - d)",
        ms(one) % 60_000,
        ms(two) % 60_000,
        rate = clip::RATE
    ));
    for _ in 0..10 {
        let seen = browser.js(&script("return master.t")).await.as_f64().unwrap();
        browser.holds("some more", &script(&format!("return master.t > {seen} + 200"))).await;
        let apart = browser.js(&apart).await;
        assert!(apart.as_f64().is_some_and(|d| d <= 150.0), "{apart} ms apart");
    }
    let drift = script("return Math.max(...master.players.map((p) => Math.abs(p.drift(master.t))))");
    browser.until("each near the clock", &drift, |v| v.as_f64().is_some_and(|d| d <= 0.1)).await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_of_one_camera_does_not_stop_the_other() {
    let start = ago(3 * HOUR);
    let at = start.offset(HOUR);
    let cause = Cause::new(CauseKind::Unreachable, "no route to host");
    let cameras = vec![
        FakeCamera::new("gate-1", "Cổng 1", start),
        FakeCamera::new("yard-2", "Sân 2", start).gap(at, 20 * SECOND, cause),
    ];
    let served = Served::start(cameras).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1,yard-2", at.offset(-5 * MINUTE)).await;
    browser.holds("pictures", &script(SEEN)).await;
    browser.js(&script(&format!("master.seek({})", ms(at) - 1000))).await;
    let word = "return document.querySelector('[data-camera=yard-2] .cover:not([hidden]) .word')?.textContent";
    browser.until("the cause", word, |v| v == "No footage here: Camera cannot be reached").await;
    let first = browser.js(&script("return picture(videos()[0])")).await;
    browser.holds("the other goes on", &script(&format!("return picture(videos()[0]) !== {first}"))).await;
    browser.js(&script("master.speed = 4")).await;
    browser
        .holds(
            "both again",
            &script(&format!(
                "return master.t > {} && master.players.every((p) => p.state === 'ready')",
                ms(at) + 20_500
            )),
        )
        .await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_and_pictures_that_browsers_refuse_do_no_harm() {
    let start = ago(HOUR);
    let (mut sound, mut hevc) = (FakeCamera::new("gate-1", "Cổng 1", start), FakeCamera::new("yard-2", "Sân 2", start));
    sound.main.pcmu = true;
    hevc.main.hevc = true;
    let served = Served::start(vec![sound, hevc]).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1,yard-2", start.offset(20 * MINUTE)).await;
    browser.holds("pictures", &script(SEEN)).await;
    let notes = browser.js("return [...document.querySelectorAll('.player .note')].map((n) => n.textContent)").await;
    assert_eq!(notes[0], "Browsers cannot play this camera's sound; hear it in VLC by the link");
    let plays = "return MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L63.90\"')";
    if browser.js(plays).await == false {
        assert_eq!(notes[1], "This browser cannot play H.265; the small picture is shown");
        assert_eq!(browser.js(&script("return videos()[1].videoWidth")).await, 320);
    }
    let seen = browser.js(&script("return master.t")).await;
    browser.holds("both go on", &script(&format!("return master.t > {seen} + 3000"))).await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_fails_is_named_and_playback_goes_on_when_it_is_back() {
    let start = ago(3 * HOUR);
    let mut served = Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", start)]).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1", start.offset(HOUR)).await;
    browser.holds("a picture", &script(SEEN)).await;
    served.fake.fault(|f| f.refuse = Some(500));
    browser.js(&script(&format!("master.seek({})", ms(start) + 7_200_000))).await;
    let word = "return document.querySelector('.player .cover:not([hidden]) .word')?.textContent";
    browser.until("a word", word, |v| v == "The footage could not be read (500); trying again").await;
    served.fake.fault(|f| f.refuse = None);
    browser.holds("a picture", &script(SEEN)).await;
    served.fake.down();
    browser.js(&script(&format!("master.seek({})", ms(start) + 600_000))).await;
    browser.holds("the banner", "return !document.querySelector('.banner').hidden").await;
    served.fake.up();
    browser.holds("a picture", &script(SEEN)).await;
    browser.holds("no banner", "return document.querySelector('.banner').hidden").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_is_used_by_keys_wheel_and_drag() {
    let start = ago(30 * HOUR);
    let served = Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", start)]).await;
    let browser = Browser::start().await;
    let t = start.offset(10 * HOUR);
    open(&browser, &served, "gate-1", t).await;
    browser.js(&script(&format!("master.play(false); master.seek({}); timeline.root.focus()", ms(t)))).await;
    let press = |key: &str, shift: bool| {
        format!(
            "timeline.root.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', shiftKey: {shift}, bubbles: true }}));"
        )
    };
    let at = "return Math.round(master.t)";
    for (key, shift, by) in [("ArrowRight", false, 1000), ("ArrowLeft", true, -10_000), ("PageUp", false, 60_000)] {
        let before = browser.js(&script(at)).await.as_i64().unwrap();
        let after = browser.js(&script(&format!("{}{at}", press(key, shift)))).await;
        assert_eq!(after, before + by, "{key}");
    }
    let span = "return Math.round((timeline.to - timeline.from) / 1000)";
    let zoom = |key: &str| script(&format!("for (let i = 0; i < 20; i += 1) {{ {} }} {span}", press(key, false)));
    assert_eq!(browser.js(&zoom("+")).await, 60, "a minute at the least");
    assert_eq!(browser.js(&zoom("-")).await, 86_400, "a day at the most");
    let wheel = "timeline.root.dispatchEvent(new WheelEvent('wheel', { deltaY: -600, cancelable: true }));";
    let zoomed = browser.js(&script(&format!("{wheel}{span}"))).await.as_i64().unwrap();
    assert!(zoomed < 40_000, "{zoomed}");
    // Dragging moves the view and not the clock.
    let drag = "const r = timeline.root; const before = timeline.from; const was = master.t;
      const send = (type, x) => r.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientX: r.getBoundingClientRect().left + x, clientY: r.getBoundingClientRect().top + 30, bubbles: true }));
      r.setPointerCapture = () => {};
      send('pointerdown', 400); send('pointermove', 500); send('pointermove', 600); send('pointerup', 600);
      return [timeline.from < before, master.t === was]";
    assert_eq!(browser.js(&script(drag)).await, serde_json::json!([true, true]));
    // Screen readers are told the time.
    let told = browser.js("const s = document.querySelector('[role=slider]'); return [s.getAttribute('aria-label'), s.getAttribute('aria-valuetext')]").await;
    assert_eq!(told[0], "Timeline");
    assert!(told[1].as_str().is_some_and(|text| text.contains(':')), "{told}");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_no_text_but_that_of_the_catalogs() {
    let start = ago(3 * HOUR);
    let camera =
        FakeCamera::new("gate-1", "7", start).gap(start.offset(HOUR), MINUTE, Cause::new(CauseKind::Timeout, "x y z"));
    let served = Served::start(vec![camera]).await;
    let browser = Browser::start().await;
    for path in ["/", "/camera/gate-1", &page("gate-1", start.offset(HOUR))] {
        let mark = if path.contains('?') { "&" } else { "?" };
        browser.goto(&served.url(&format!("{path}{mark}lang=zh"))).await;
        browser.holds("the page", "return document.querySelectorAll('video').length > 0").await;
        browser.js("document.querySelector('[data-do=vlc]')?.click()").await;
        // Latin words on a Chinese page: names of things only.
        let words = "const skip = (e) => e.closest('[lang=en], [lang=vi], .zone, .name, noscript, script, style, .area');
          const found = [];
          for (const e of document.querySelectorAll('body, body *')) {
            if (skip(e)) continue;
            for (const n of e.childNodes) if (n.nodeType === 3) found.push(n.textContent);
            for (const a of ['aria-label', 'title', 'placeholder', 'alt']) if (e.hasAttribute(a)) found.push(e.getAttribute(a));
          }
          return found.join(' ').match(/[A-Za-z]{2,}/g) ?? []";
        let allowed = ["VLC", "mpv", "ffmpeg", "Shift", "Page", "Up", "Down"];
        let words = browser.js(words).await;
        let foreign: Vec<&Value> =
            words.as_array().unwrap().iter().filter(|w| !allowed.contains(&w.as_str().unwrap())).collect();
        assert!(foreign.is_empty(), "{path}: {foreign:?}");
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_for_other_players_name_the_span_in_view() {
    let start = ago(3 * HOUR);
    let served = Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", start)]).await;
    let browser = Browser::start().await;
    open(&browser, &served, "gate-1", start.offset(HOUR)).await;
    let from = ms(start) + 3_600_000;
    browser.js(&script(&format!("master.play(false); timeline.view({from}, {from} + 600e3)"))).await;
    browser.find("[data-do=vlc]").await.click().await.unwrap();
    let link = browser.js("return document.querySelector('dialog[open] input').value").await;
    let to = from + 600_000;
    let expected = served.url(&format!("/api/hls/gate-1/main.m3u8?from={from}000000&to={to}000000"));
    assert_eq!(link, expected.as_str());
    browser.quit().await;
}
