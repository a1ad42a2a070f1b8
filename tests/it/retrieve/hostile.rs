//! The body of the fuzz target `range`, on texts that look right and on real heads that are damaged.

use proptest::prelude::*;

use super::one_run;

#[path = "../../fuzz/bodies/range.rs"]
mod body;

proptest! {
    #[test]
    fn texts_that_look_right(
        number: [u8; 8],
        text in "(bytes=[-0-9, ]{0,20})|((camera|from|to|stream|part|shift)=[-0-9a-zT:%+.]{0,24}&?){0,5}|[0-9a-f]{32}/[0-9a-f]{32}/[0-9]{1,11}(\\.mp4)?",
    ) {
        body::exercise(&[number.as_slice(), text.as_bytes()].concat());
    }

    #[test]
    fn anything(data: Vec<u8>) {
        body::exercise(&data);
    }
}

#[test]
fn damaged_heads() {
    let (archive, _) = one_run();
    let rows = archive.library().ask(|i| i.volume_segments(&archive.volume)).unwrap();
    let bytes = std::fs::read(archive.root().join(&rows[0].path)).unwrap();
    let at = bytes.windows(4).position(|w| w == b"prft").unwrap() - 4;
    let head = &bytes[at..at + 2048];
    let mut damaged = [[0; 8].as_slice(), head].concat();
    body::exercise(&damaged);
    for n in 8..damaged.len() {
        for with in [0, 1, 0x7f, 0x80, 0xff] {
            let was = std::mem::replace(&mut damaged[n], with);
            body::exercise(&damaged);
            damaged[n] = was;
        }
    }
}
