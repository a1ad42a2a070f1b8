//! The webhook, byte for byte.

use super::{
    super::super::push::tests::mock::{Asked, Authority, Mock, ok, status},
    *,
};

const ALARM: &str = r#"
[[health.alarm]]
kind = "webhook"
url_secret = "hook"
token_secret = "token"
from_level = "fail"
language = "en"
names = true
"#;

fn office(mock: &Mock) -> Office {
    let secrets = format!("hook = \"http://{}/in?key=s3cret\"\ntoken = \"t0ken\"", mock.address());
    Office::new(ALARM, &secrets, None)
}

fn json(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

use Level::{Fail, Ok as Fine, Warn};

#[tokio::test]
async fn a_post_is_this_to_the_byte() {
    let mock = Mock::new().await;
    let office = office(&mock);
    office.look(&[(4, Fine, Fail), (5, Fine, Warn)]);
    let (asked, tried) = tokio::join!(mock.answers(ok("")), office.once(0));
    assert_eq!(tried, Tried::Told);
    let body = json(&asked);
    let (id, message) = (body["id"].as_str().unwrap(), body["message"].as_str().unwrap());
    let sentence = body["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("Cổng chính 4 is not recorded"), "{sentence}");
    let to_do = serde_json::to_string(&body["to_do"]).unwrap();
    let expected = format!(
        "{{\"format\":1,\"event\":\"raised\",\"id\":\"{id}\",\"message\":\"{message}\",\"at\":\"2026-11-22T08:01:00Z\",\
         \"began\":\"2026-11-22T08:01:00Z\",\"changed\":\"2026-11-22T08:01:00Z\",\"recorder\":\"rec1\",\"version\":\"{}\",\
         \"probe\":\"footage\",\"subject\":{{\"camera\":4}},\"camera\":\"gate-4\",\"camera_name\":\"Cổng chính 4\",\
         \"from\":\"ok\",\"level\":\"fail\",\"code\":\"late\",\"values\":{{\"age\":{{\"seconds\":90.0}},\
         \"at\":{{\"time\":{}}}}},\"told_before\":false,\"language\":\"en\",\"sentence\":\"{sentence}\",\"to_do\":{to_do}}}",
        env!("CARGO_PKG_VERSION"),
        NOW.offset(-30 * SECOND).0,
    );
    let head = format!(
        "POST /in?key=s3cret HTTP/1.1\r\nauthorization: Bearer t0ken\r\ncontent-type: application/json\r\n\
         accept: */*\r\nuser-agent: custodian/{}\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        mock.address(),
        expected.len()
    );
    assert_eq!(asked, head + &expected);
    // The warning is below what this receiver wants; the end has the alarm's number.
    assert_eq!(office.once(0).await, Tried::Idle);
    office.look(&[(4, Fail, Fine)]);
    let (asked, tried) = tokio::join!(mock.answers(status(204, "", "")), office.once(0));
    assert_eq!(tried, Tried::Told);
    let end = json(&asked);
    assert_eq!((end["event"].as_str(), end["id"].as_str()), (Some("ended"), Some(id)));
    assert_eq!((end["from"].as_str(), end["level"].as_str(), &end["to_do"]), (Some("fail"), Some("ok"), &().into()));
    assert_eq!((end["told_before"].as_bool(), end["began"].as_str()), (Some(true), body["began"].as_str()));
    assert_ne!(end["message"].as_str(), Some(message));
}

#[tokio::test]
async fn what_may_have_been_taken_is_said_again_in_the_same_words() {
    let mock = Mock::new().await;
    let mut office = office(&mock);
    office.look(&[(4, Fine, Fail)]);
    let mut seen = Vec::new();
    for (answer, wait) in [(status(500, "", "oops"), None), (status(429, "retry-after: 77\r\n", ""), Some(77))] {
        let (asked, tried) = tokio::join!(mock.answers(answer), office.once(0));
        let Tried::Failed(failure) = tried else { panic!("{tried:?}") };
        assert_eq!((failure.misconfigured, failure.wait), (false, wait.map(Duration::from_secs)));
        seen.push(asked);
        // Neither another process nor another level changes what is on its way.
        office.restart();
        office.look(&[(4, Fail, Fine)]);
    }
    // One that is cut off in the middle of an answer.
    let (asked, tried) = tokio::join!(async { mock.asked().await.text }, office.once(0));
    assert!(matches!(tried, Tried::Failed(f) if !f.untouched), "it may have been taken");
    seen.push(asked);
    let (asked, tried) = tokio::join!(mock.answers(ok("")), office.once(0));
    assert_eq!(tried, Tried::Told);
    assert!(seen.iter().all(|s| *s == asked), "{seen:?}");
    let (asked, _) = tokio::join!(mock.answers(ok("")), office.once(0));
    assert_eq!((json(&asked)["event"].as_str(), json(&asked)["told_before"].as_bool()), (Some("ended"), Some(true)));
    assert_eq!(office.once(0).await, Tried::Idle);
}

#[tokio::test]
async fn what_is_ours_to_put_right_is_shown_without_address_and_told_afterwards() {
    let elsewhere = "location: http://127.0.0.2:1/in\r\n";
    for (code, headers) in [(400, ""), (401, ""), (404, ""), (307, elsewhere), (302, elsewhere)] {
        let mock = Mock::new().await;
        let office = office(&mock);
        office.look(&[(4, Fine, Fail)]);
        let (_, tried) = tokio::join!(mock.answers(status(code, headers, "no")), office.once(0));
        assert!(matches!(tried, Tried::Failed(f) if f.misconfigured && f.untouched), "{code}");
        let state = office.state("alarm-1-webhook");
        assert!(state.misconfigured && state.failing_since.is_some(), "{code}");
        let problem = state.problem.unwrap();
        assert!(!["s3cret", "t0ken", "127.0.0"].iter().any(|secret| problem.contains(secret)), "{problem}");
        let (_, tried) = tokio::join!(mock.answers(ok("")), office.once(0));
        assert_eq!(tried, Tried::Told, "{code}");
        let state = office.state("alarm-1-webhook");
        assert_eq!((state.misconfigured, state.failing_since, state.problem), (false, None, None));
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_no_outage() {
    let (mock, ours) = (Mock::new().await, Authority::new());
    let secrets = format!("hook = \"https://{}/\"\ntoken = \"t\"", mock.address());
    let tell = async |ca: Option<&str>| {
        let office = Office::new(ALARM, &secrets, ca);
        office.look(&[(4, Fine, Fail)]);
        let serving = async {
            if let Ok(stream) = ours.server("127.0.0.1", 2999).accept(mock.accept().await).await {
                let mut asked = Asked::read(stream).await;
                asked.say(&ok("")).await;
                tokio::io::AsyncWriteExt::shutdown(&mut asked.stream).await.ok();
            }
        };
        (tokio::join!(serving, office.once(0)).1, office.state("alarm-1-webhook").misconfigured)
    };
    let (tried, misconfigured) = tell(None).await;
    assert!(matches!(tried, Tried::Failed(f) if f.misconfigured && f.untouched) && misconfigured);
    assert_eq!(tell(Some(&ours.pem)).await, (Tried::Told, false));
}

#[tokio::test]
async fn one_who_is_not_there_gets_the_end_with_the_beginning() {
    let mock = Mock::new().await;
    let office = office(&mock);
    let address = mock.address().to_string();
    drop(mock);
    office.look(&[(4, Fine, Fail)]);
    assert!(matches!(office.once(0).await, Tried::Failed(f) if f.untouched && !f.misconfigured));
    office.look(&[(4, Fail, Fine)]);
    let mock = Mock::at(&address).await;
    let (asked, tried) = tokio::join!(mock.answers(ok("")), office.once(0));
    assert_eq!(tried, Tried::Told);
    let both = json(&asked);
    assert_eq!((both["event"].as_str(), both["told_before"].as_bool()), (Some("ended"), Some(false)));
    assert_eq!(both["began"].as_str(), Some("2026-11-22T08:01:00Z"));
    assert_eq!(office.once(0).await, Tried::Idle);
}

#[tokio::test]
async fn names_stay_here_where_the_site_does_not_allow_them() {
    let mock = Mock::new().await;
    let secrets = format!("hook = \"http://{}/\"\ntoken = \"t\"", mock.address());
    let office = Office::new(&ALARM.replace("names = true", ""), &secrets, None);
    office.look(&[(4, Fine, Fail)]);
    let (asked, tried) = tokio::join!(mock.answers(ok("")), office.once(0));
    assert_eq!(tried, Tried::Told);
    assert!(!asked.contains("gate") && !asked.contains("Cổng"), "{asked}");
    assert!(json(&asked)["sentence"].as_str().unwrap().starts_with("Camera 4 is not recorded"), "{asked}");
}
