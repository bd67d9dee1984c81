//! The one place that prints. Reports go to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::args::Color;

/// The styles, cargo's own: bold green for what was done, and so on.
pub(super) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// What the terminal can do, and what the user wants of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) stdout_color: bool,
    pub(super) stderr_color: bool,
    pub(super) stderr_terminal: bool,
    pub(super) quiet: bool,
    pub(super) columns: usize,
}

impl Term {
    pub(super) fn new(color: Color, quiet: bool, env: &super::Env) -> Self {
        let wants = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !env.no_color,
        };
        let stderr_terminal = std::io::stderr().is_terminal();
        Term {
            stdout_color: wants(std::io::stdout().is_terminal()),
            stderr_color: wants(stderr_terminal),
            stderr_terminal,
            quiet,
            columns: columns(),
        }
    }

    /// Writes a finished report. A reader that went away is no error.
    pub(super) fn report(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a line to standard error.
    pub(super) fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// Writes to standard error without an end of line.
    pub(super) fn put(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// Colours for standard output.
    pub(super) fn out(&self, style: Style, text: impl std::fmt::Display) -> String {
        paint(self.stdout_color, style, text)
    }

    /// Colours for standard error.
    pub(super) fn err(&self, style: Style, text: impl std::fmt::Display) -> String {
        paint(self.stderr_color, style, text)
    }
}

fn paint(color: bool, style: Style, text: impl std::fmt::Display) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_string() }
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map_or(80, |s| usize::from(s.ws_col)).clamp(40, 200)
}

/// `1.2 MiB`.
pub(super) fn bytes(n: u64) -> String {
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

/// `1 file`, `2 files`.
pub(super) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A path for a command line that a person copies: quoted where a shell needs it.
pub(super) fn shell(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&b));
    if plain && !text.is_empty() && !text.starts_with('-') {
        return text.into_owned();
    }
    if text.chars().any(char::is_control) || path.to_str().is_none() {
        // What bash and zsh read as bytes.
        use std::os::unix::ffi::OsStrExt;
        let escaped: String = path
            .as_os_str()
            .as_bytes()
            .iter()
            .map(|b| match b {
                b'\'' | b'\\' => format!("\\{}", char::from(*b)),
                0x20..=0x7e => char::from(*b).to_string(),
                _ => format!("\\x{b:02x}"),
            })
            .collect();
        return format!("$'{escaped}'");
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_a_person_copies_into_a_shell_is_one_word() {
        assert_eq!(shell(Path::new("a/b.c")), "a/b.c");
        assert_eq!(shell(Path::new("my dir/it's")), r"'my dir/it'\''s'");
        assert_eq!(shell(Path::new("a\n'")), r"$'a\x0a\''");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(1 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "1.0 GiB"]
        );
    }
}
