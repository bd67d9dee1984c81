//! The checksum list of a restore point, for `sha256sum -c`. It can be made again from the manifest, byte for byte.

use crate::digest::Digest;
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::order;
use crate::path::RelPath;

/// What GNU `sha256sum -c` reads from inside the session directory. A name with a backslash, a newline or a
/// carriage return is escaped its way: a backslash starts the line.
pub(crate) fn checksum_list(manifest: &Manifest, manifest_digest: Digest) -> Vec<u8> {
    let mut out = Vec::with_capacity(manifest.entries.len() * 110);
    let mut line = |digest: Digest, name: &[u8]| {
        if name.iter().any(|b| matches!(b, b'\\' | b'\n' | b'\r')) {
            out.push(b'\\');
        }
        out.extend_from_slice(digest.to_string().as_bytes());
        out.extend_from_slice(b"  ");
        for byte in name {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                byte => out.push(*byte),
            }
        }
        out.push(b'\n');
    };
    line(manifest_digest, MANIFEST_FILE.as_bytes());
    for entry in &manifest.entries {
        if let Some(digest) = entry.sha256() {
            line(digest, entry.stored_path().as_bytes());
        }
    }
    out
}

/// Reads a checksum list. An error names the line, counted from 1, and what is wrong with it.
pub(crate) fn parse_checksum_list(
    bytes: &[u8],
) -> Result<order::Map<RelPath, Digest>, (usize, &'static str)> {
    let mut out = order::Map::new();
    let Some(body) = bytes.strip_suffix(b"\n") else {
        return Err((bytes.split(|b| *b == b'\n').count(), "the list is truncated"));
    };
    for (i, line) in body.split(|b| *b == b'\n').enumerate() {
        let fault = |text| (i + 1, text);
        let (escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let digest: Digest = line
            .get(..64)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| d.parse().ok())
            .ok_or(fault("no digest at its start"))?;
        let name =
            line.get(64..).and_then(|l| l.strip_prefix(b"  ")).ok_or(fault("no two spaces behind it"))?;
        let name = if escaped { unescape(name).ok_or(fault("a malformed escape"))? } else { name.to_vec() };
        let path = RelPath::from_bytes(&name).map_err(|_| fault("an unsafe path"))?;
        if out.insert(path, digest).is_some() {
            return Err(fault("a path that stands there twice"));
        }
    }
    Ok(out)
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_survive_the_checksum_list() {
        let digest = Digest::of(b"");
        let line = format!("\\{digest}  files/a\\\\b\\nc\n{digest}  files/plain name\n");
        let list = parse_checksum_list(line.as_bytes()).unwrap();
        assert_eq!(
            list.keys().map(|k| k.as_bytes()).collect::<Vec<_>>(),
            [&b"files/a\\b\nc"[..], b"files/plain name"]
        );
    }

    #[test]
    fn a_malformed_checksum_list_is_refused_by_line() {
        let digest = Digest::of(b"");
        for (text, line) in [
            (format!("{digest}  a\n{digest} b\n"), 2),
            (format!("{digest}  ../a\n"), 1),
            (format!("{digest}  a\n{digest}  a\n"), 2),
            (format!("{digest}  a"), 1),
            (format!("\\{digest}  a\\q\n"), 1),
            ("xyz\n".to_owned(), 1),
        ] {
            assert_eq!(parse_checksum_list(text.as_bytes()).unwrap_err().0, line, "{text}");
        }
    }
}
