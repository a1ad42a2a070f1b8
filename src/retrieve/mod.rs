//! Playback and export: what is on disk, by time, in byte ranges, playlists and clips.
//!
//! Reads the index and the segments, writes neither.

pub mod hls;
pub mod params;
pub mod range;
