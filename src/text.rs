//! Texts from outside made fit to be shown: names of files, what a program printed.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file name made fit for a terminal, a log line or an annotation: control characters (C0, DEL, C1), the
/// marks that reorder text, and bytes that are not UTF-8 are escaped.
///
/// ```
/// assert_eq!(backstop::path::show_bytes(b"a\x1b[31m\nb"), r"a\x1b[31m\nb");
/// ```
pub fn show_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c if is_deceptive(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Whether a character beyond ASCII controls a terminal, reorders or breaks text, or is not seen at all: C1, the
/// separators of lines and paragraphs, the grapheme joiner, and all of Unicode's category Cf (format).
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}'
        | '\u{8e2}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e007f}')
}

/// [`show_bytes`] for a path of the operating system.
pub fn show_path(path: &Path) -> String {
    show_bytes(path.as_os_str().as_bytes())
}

/// [`show_path`], for programs.
pub(crate) fn serialize_path<S: serde::Serializer>(
    path: &(impl Into<Option<PathBuf>> + Clone),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&path.clone().into().map(|path| show_path(&path)), serializer)
}

/// Any text that came from outside (a program's output, a message), escaped as [`show_bytes`] does.
pub fn show_text(text: &str) -> String {
    show_bytes(text.as_bytes())
}

/// `1.2 MiB`.
pub(crate) fn size(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss, reason = "for people, two digits are enough")]
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_names_carry_no_control_character() {
        let shown = show_bytes("\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{7f}\r\n\0é".as_bytes());
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
        assert!(shown.ends_with('é'));
    }

    #[test]
    fn what_is_not_seen_is_shown() {
        let unseen = "\u{200b}\u{200d}\u{feff}\u{2028}\u{2029}\u{2060}\u{61c}\u{ad}\u{180e}\u{e0000}\u{e0041}\u{e007f}\
            \u{600}\u{6dd}\u{70f}\u{890}\u{8e2}\u{110bd}\u{110cd}\u{13430}\u{1343f}\u{1bca0}\u{1d173}\u{1d17a}";
        let shown = show_text(&format!("a{unseen}漢é"));
        assert!(shown.chars().all(|c| !unseen.contains(c)) && shown.contains("\\u{e0041}"), "{shown}");
        assert!(shown.ends_with("漢é"), "{shown}");
    }
}
