//! Fields ended by NUL bytes: what bash reads with `read -r -d ''`, and Python with `split`. Both the journal and
//! what the scripts read of a restore point are written so.

use crate::digest::Digest;

/// Writes fields.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<u8>);

impl Fields {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds one field. No field holds a NUL byte: paths and link targets cannot, the rest is ours.
    pub(crate) fn push(&mut self, field: impl AsRef<[u8]>) -> &mut Self {
        self.0.extend(field.as_ref().iter().filter(|b| **b != 0));
        self.0.push(0);
        self
    }

    /// Adds `end` and the digest of everything before it.
    pub(crate) fn seal(mut self) -> Vec<u8> {
        let digest = Digest::of(&self.0);
        self.push("end").push(digest.to_string());
        self.0
    }
}

/// Reads fields.
#[derive(Debug)]
pub(crate) struct FieldReader<'a>(&'a [u8]);

impl<'a> FieldReader<'a> {
    /// Checks the seal and gives the fields before it, and what stands behind it. `None` where the bytes are cut
    /// off or damaged.
    pub(crate) fn sealed(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        // The seal is the first `end` field with a digest that fits: an `end` among the data has none.
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let field_end = rest.iter().position(|b| *b == 0)?;
            if &rest[..field_end] == b"end" {
                let digest = Digest::of(&bytes[..at]).to_string();
                let behind = &rest[field_end + 1..];
                if behind.get(..64) == Some(digest.as_bytes()) && behind.get(64) == Some(&0) {
                    return Some((FieldReader(&bytes[..at]), &behind[65..]));
                }
            }
            at += field_end + 1;
        }
    }

    /// The next field; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let (field, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        Some(field)
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next field as text.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.next()?).ok()
    }

    /// The next field, parsed.
    pub(crate) fn parse<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_found_behind_a_field_that_reads_end_and_no_damage_passes() {
        let mut fields = Fields::new();
        fields.push("end").push("x").push(b"\xff\n");
        let bytes = fields.seal();
        let mut with_tail = bytes.clone();
        with_tail.extend_from_slice(b"committed\0");
        let (mut reader, tail) = FieldReader::sealed(&with_tail).unwrap();
        assert_eq!(tail, b"committed\0");
        assert_eq!((reader.next(), reader.next()), (Some(&b"end"[..]), Some(&b"x"[..])));
        assert_eq!((reader.next(), reader.next()), (Some(&b"\xff\n"[..]), None));
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            assert!(FieldReader::sealed(&damaged).is_none(), "byte {i}");
            assert!(FieldReader::sealed(&bytes[..i]).is_none(), "cut at {i}");
        }
    }
}
