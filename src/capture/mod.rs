//! From cameras to fragments: supervisor, RTSP sessions (retina), clock mapping, fragmenter, live taps. (being written)
