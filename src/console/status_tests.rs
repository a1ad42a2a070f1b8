use super::*;

fn volume(name: &str, healthy: bool) -> VolumeLine {
    let room = healthy.then(|| ("12 TB".to_owned(), "840 GB".to_owned()));
    VolumeLine { name: name.into(), healthy, room, temperature: healthy.then(|| "34 °C".to_owned()) }
}

fn well() -> Model {
    Model {
        school: "Trường THCS Nguyễn Du 阮攸中学".into(),
        recorder: "a".into(),
        now: "2026-11-26 06:20".into(),
        verdict: Verdict::Well,
        troubles: Vec::new(),
        cameras: Some((8, 8, 2)),
        kept: Some(Kept { least: Some(31.25), promised: Some(30) }),
        volumes: vec![volume("a1", true), volume("a2", true)],
        addresses: vec![
            ("enp1s0".into(), vec!["192.168.10.20".into(), "2001:db8:10:20:30:40:50:60".into()]),
            ("enp2s0".into(), vec!["10.20.0.1".into()]),
        ],
        generation: Some(Generation { number: 7, at: "2026-11-20 10:00".into(), by: "console".into(), trial: None }),
        version: "0.1.0".into(),
        update: None,
    }
}

fn bad(lang: Lang) -> Model {
    let (sentence, step) = match lang {
        Lang::En => (
            "The disk of volume a2 is not in the machine: nothing is written to it.",
            "Look whether its cable sits, then switch the machine off and on.",
        ),
        Lang::Vi => (
            "Ổ đĩa của vùng lưu trữ a2 không có trong máy: không ghi gì vào đó.",
            "Xem cáp có cắm chặt không, rồi tắt và bật lại máy.",
        ),
        Lang::Zh => ("存储卷 a2 的磁盘不在机器中：没有写入任何数据。", "请检查线缆是否插好，然后关机再开机。"),
    };
    let trouble = |urgent| Trouble { urgent, sentence: sentence.into(), step: Some(step.into()) };
    Model {
        verdict: Verdict::Act(5),
        troubles: vec![trouble(true), trouble(true), trouble(false), trouble(false), trouble(false)],
        cameras: Some((3, 8, 12)),
        volumes: vec![volume("a1", true), volume("a2", false)],
        update: Some("0.2.0".into()),
        generation: well().generation.map(|g| Generation { trial: Some("06:25".into()), ..g }),
        ..well()
    }
}

fn shown(lines: &[Line]) -> String {
    lines.iter().map(|l| l.text().trim_end().to_owned() + "\n").collect()
}

fn fits(lines: &[Line], (columns, rows): Size) {
    assert!(lines.len() <= rows, "{} lines", lines.len());
    for line in lines {
        assert!(line.width() <= columns, "{} columns: {:?}", line.width(), line.text());
    }
}

#[test]
fn the_page_in_three_languages() {
    for lang in Lang::ALL {
        insta::assert_snapshot!(format!("well_{lang}"), shown(&status(&well(), lang, (80, 25))));
        insta::assert_snapshot!(format!("bad_{lang}"), shown(&status(&bad(lang), lang, (80, 25))));
    }
}

#[test]
fn a_page_fits_whatever_the_screen_is_and_the_verdict_and_the_keys_are_always_there() {
    for lang in Lang::ALL {
        for model in
            [well(), bad(lang), Model { verdict: Verdict::Empty, school: String::new(), cameras: None, ..well() }]
        {
            for size in [(80, 24), (80, 25), (80, 30), (100, 37), (160, 50), (240, 67)] {
                let lines = status(&model, lang, size);
                assert_eq!(lines.len(), size.1);
                fits(&lines, size);
                let page = shown(&lines);
                assert!(
                    page.contains(&verdict(&model, lang).1) && page.contains(" p ") && page.contains("中文"),
                    "{page}"
                );
                if let Some(trouble) = model.troubles.first() {
                    let words = trouble.sentence.split(' ').next().unwrap();
                    assert!(
                        page.contains(words) && page.contains("3 ") && page.contains(&t(lang, "console.cameras", &[])),
                        "{page}"
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_of_the_resting_page_stays_where_it_was() {
    let size = (80, 25);
    for lang in Lang::ALL {
        let mut places = std::collections::BTreeSet::new();
        for times in 0..200 {
            let lines = rest(&bad(lang), lang, size, times);
            fits(&lines, size);
            let said = |l: &Line| !l.text().trim().is_empty();
            let row = lines.iter().position(said).unwrap();
            let text = lines[row].text();
            places.insert((row, text.len() - text.trim_start().len()));
            assert!(text.contains(&verdict(&bad(lang), lang).1));
            // No band, whose edges would burn in.
            let drawn = crate::console::draw(&lines, size);
            assert!(!drawn.contains("\x1b[41m"));
            assert!(lines.iter().filter(|l| said(l)).count() == 3);
        }
        assert!(places.len() > 60, "{} places", places.len());
    }
}
