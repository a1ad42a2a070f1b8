//! Writing boxes (ISO/IEC 14496-12 section 4.2) into one growing buffer.

/// A buffer that boxes are appended to. All numbers are big-endian.
pub(super) struct Boxes {
    buf: Vec<u8>,
}

impl Boxes {
    /// An empty one with room for `bytes`.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { buf: Vec::with_capacity(bytes) }
    }

    /// A box of the given type; `body` writes what is inside.
    pub(super) fn boxed(&mut self, kind: [u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.buf.len();
        self.u32(0);
        self.bytes(&kind);
        body(self);
        let size = self.buf.len() - start;
        self.patch_u32(start, u32::try_from(size).expect("every box written here is bounded far below 4 GiB"));
    }

    /// A full box: one with version and flags.
    pub(super) fn full(&mut self, kind: [u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |b| {
            b.u32(u32::from(version) << 24 | flags);
            body(b);
        });
    }

    /// A `uuid` box of ours: extended type, then version and flags, then `body`.
    pub(super) fn uuid(&mut self, id: &[u8; 16], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(*b"uuid", |b| {
            b.bytes(id);
            b.u32(u32::from(version) << 24 | flags);
            body(b);
        });
    }

    pub(super) fn u16(&mut self, v: u16) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn u32(&mut self, v: u32) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn i32(&mut self, v: i32) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn u64(&mut self, v: u64) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn i64(&mut self, v: i64) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, v: &[u8]) {
        self.buf.extend_from_slice(v);
    }

    pub(super) fn zeros(&mut self, n: usize) {
        self.buf.resize(self.buf.len() + n, 0);
    }

    /// Where the next byte goes.
    pub(super) fn pos(&self) -> usize {
        self.buf.len()
    }

    /// What has been written so far.
    pub(super) fn written(&self) -> &[u8] {
        &self.buf
    }

    /// Overwrites four bytes written before.
    pub(super) fn patch_u32(&mut self, at: usize, v: u32) {
        self.buf[at..at + 4].copy_from_slice(&v.to_be_bytes());
    }

    /// Overwrites bytes written before.
    pub(super) fn patch(&mut self, at: usize, v: &[u8]) {
        self.buf[at..at + v.len()].copy_from_slice(v);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.buf
    }
}
