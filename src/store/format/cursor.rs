//! Reading boxes out of a bounded piece of memory. Nothing here panics or allocates, whatever the bytes are.

/// What is wrong with the bytes, for a message.
pub(super) type Parse<T> = Result<T, &'static str>;

/// A reading position in a slice.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

/// A box inside a slice.
pub(super) struct BoxIn<'a> {
    /// Its four-character code.
    pub(super) kind: [u8; 4],
    /// What follows size and type.
    pub(super) body: Cursor<'a>,
}

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, n: usize) -> Parse<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or("a box ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Parse<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or("a box ends too early")?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn skip(&mut self, n: usize) -> Parse<()> {
        self.take(n).map(drop)
    }

    pub(super) fn u32(&mut self) -> Parse<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Parse<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Parse<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Parse<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Version and flags of a full box.
    pub(super) fn version_flags(&mut self) -> Parse<(u8, u32)> {
        let v = self.u32()?;
        Ok(((v >> 24) as u8, v & 0x00ff_ffff))
    }

    /// The next child box; `None` at the end. Only sizes of 32 bits: nothing that is parsed in memory is larger.
    pub(super) fn next_box(&mut self) -> Parse<Option<BoxIn<'a>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let size = self.u32()? as usize;
        let kind = self.array()?;
        let body = size.checked_sub(8).ok_or("a box is smaller than its own header")?;
        Ok(Some(BoxIn { kind, body: Cursor(self.take(body)?) }))
    }

    /// The first child of that type.
    pub(super) fn find(mut self, kind: [u8; 4], missing: &'static str) -> Parse<Cursor<'a>> {
        while let Some(b) = self.next_box()? {
            if b.kind == kind {
                return Ok(b.body);
            }
        }
        Err(missing)
    }
}
