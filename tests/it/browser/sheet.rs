//! The recovery sheet as a school opens it: a file on a stick, without a network.

use custodian::{
    install::{SheetCode, sheet},
    types::Lang,
};

use super::driver::Browser;

const KEY: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";
const CODE: &str = "7k3q-0xv9-hm2c-4tda";

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_sheet_is_opened_by_its_code_and_by_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recovery-a.html");
    let heading =
        sheet::Heading { site: "Trường <Hoa>", recorder: "a", at: "2026-11-22 15:00:00", disk: "nvme-SSD" };
    let rows = [("Khóa khôi phục: a1".to_owned(), KEY.to_owned()), ("<b>".to_owned(), "& <i>".to_owned())];
    let page = sheet::page(heading, &rows, &SheetCode::read(CODE).unwrap(), Lang::Vi).unwrap();
    std::fs::write(&path, page).unwrap();
    let browser = Browser::start().await;
    browser.goto(&format!("file://{}", path.display())).await;
    let typed = |code: &str| {
        format!(
            "document.forms[0].code.value = '{code}'; document.forms[0].requestSubmit(); \
             return document.querySelector('h1').textContent"
        )
    };
    let heading = browser.js("return document.querySelector('h1 + p').textContent").await;
    assert!(heading.as_str().unwrap().contains("Trường <Hoa>"), "{heading}");
    browser.js(&typed("7k3q-0xv9-hm2c-4tdb")).await;
    browser.holds("a wrong code is refused", "return document.querySelector('[role=alert]').textContent !== ''").await;
    assert_eq!(browser.js("return document.querySelector('main').hidden").await, true);
    // As people type it from paper.
    browser.js(&typed("7K3Q OXV9 HM2C 4TDA")).await;
    browser.holds("the sheet opens", "return !document.querySelector('main').hidden").await;
    let cells = browser.js("return [...document.querySelectorAll('td')].map((c) => c.textContent)").await;
    assert_eq!(cells, serde_json::json!(["Khóa khôi phục: a1", KEY, "<b>", "& <i>"]));
    assert_eq!(browser.js("return document.querySelectorAll('td *').length").await, 0, "values are texts");
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:?}");
    browser.quit().await;
}
