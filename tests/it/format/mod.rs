//! The file format, seen by programs that we have not written: ffprobe, ffmpeg, mpv, Chromium.
//!
//! Clips are made by ffmpeg, taken apart by ffprobe's list of packets, written by `store::format` and read again.

mod clip;
mod damage;
mod players;
