//! What must hold for any text that is read as site.toml or secrets.toml. Shared by the fuzz target and by the tests.

use custodian::{
    site::{Errors, parse, schema, secrets},
    types::Lang,
};

/// Reads the bytes as both files: a site keeps what a [`custodian::site::Site`] promises, errors lie in the text and can be said.
pub(crate) fn exercise(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text, "site.toml") {
        Ok(site) => {
            assert!(!site.cameras().is_empty() && site.recorders().len() > 0);
            for camera in site.cameras() {
                assert!(site.area(&camera.area).is_some() && site.recorder(&camera.recorder).is_some());
                assert!(
                    camera.main.scheme() == "rtsp"
                        && camera.main.password().is_none()
                        && camera.main.username().is_empty()
                );
                let volumes = site.volumes_of(&camera.recorder);
                assert!(camera.volume.iter().all(|pin| volumes.iter().any(|v| v.name == *pin)));
                assert!(camera.retention.min_days.zip(camera.retention.max_days).is_none_or(|(min, max)| min <= max));
            }
            let _ = secrets::Secrets::default().cover(&site).map_err(|errors| said(&errors, text));
        }
        Err(errors) => said(&errors, text),
    }
    if let Err(errors) = secrets::parse(text, "secrets.toml") {
        said(&errors, text);
    }
    assert!(schema().is_object());
}

fn said(errors: &Errors, text: &str) {
    assert!(errors.len() > 0);
    let lines = text.split('\n').count();
    for lang in Lang::ALL {
        for report in errors.reports(lang) {
            assert!((1..=lines).contains(&report.line) && report.column >= 1);
            assert!(!report.message.is_empty() && !report.help.is_empty());
        }
        // Nothing of the file reaches the terminal as a control character.
        assert!(errors.render(lang, false).chars().all(|c| c == '\n' || !c.is_control()));
    }
}
