//! The file format of segments: fragmented MP4 that any player reads, with boxes of our own beside. No I/O but
//! positioned reads. `docs/ref/format.md` describes it for a stranger.
