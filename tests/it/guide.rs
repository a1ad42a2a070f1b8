//! The guides for schools, as far as something can be compared with what they say.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::pictures::PICTURES;

#[test]
fn guides_name_the_pictures_that_are_taken() {
    for lang in ["en", "vi", "zh"] {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/guide/install.{lang}.md"));
        let text = fs::read_to_string(guide).unwrap();
        let named: BTreeSet<&str> =
            text.split("img/").skip(1).filter_map(|rest| Some(rest.split_once(".png")?.0)).collect();
        let taken: Vec<String> = PICTURES.iter().map(|name| format!("install-{name}.{lang}")).collect();
        assert_eq!(named, taken.iter().map(String::as_str).collect(), "install.{lang}.md");
    }
}
