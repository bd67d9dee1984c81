//! Texts that a person copies: a word of a command line, a string of a settings file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A basic string of TOML, in its quotes.
pub(crate) fn toml_string(text: &str) -> String {
    // JSON's escapes are a part of TOML's, and DEL is the one character more that TOML wants escaped.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A word of a command line that a person copies: quoted where a shell needs it.
pub(crate) fn shell_word(word: &OsStr) -> String {
    let bytes = word.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(b)) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match word.to_str() {
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', "'\\''")),
        // What bash and zsh read as bytes.
        _ => {
            let escaped = bytes.iter().map(|b| match b {
                b'\'' | b'\\' => format!("\\{}", char::from(*b)),
                0x20..=0x7e => char::from(*b).to_string(),
                _ => format!("\\x{b:02x}"),
            });
            format!("$'{}'", escaped.collect::<String>())
        }
    }
}
