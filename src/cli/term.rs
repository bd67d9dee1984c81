//! The one place that prints. Reports go to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use super::env::Env;
pub(super) use crate::event::plural;
pub(super) use crate::text::size as bytes;

/// The styles, cargo's own: bold green for what was done, and so on.
pub(super) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// A report could not be written.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether a report of this process could not be written.
pub(super) fn report_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// When the user wants colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// What the terminal can do, and what the user wants of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) stdout_color: bool,
    pub(super) stderr_color: bool,
    pub(super) stderr_terminal: bool,
    pub(super) quiet: bool,
    /// Of standard output.
    pub(super) columns: usize,
    pub(super) stderr_columns: usize,
}

impl Term {
    /// One for tests: a terminal of so many columns, or a pipe.
    #[cfg(test)]
    pub(super) fn of(columns: Option<usize>) -> Self {
        let terminal = columns.is_some();
        Term {
            stdout_color: terminal,
            stderr_color: terminal,
            stderr_terminal: terminal,
            quiet: false,
            columns: columns.unwrap_or(WIDTH),
            stderr_columns: columns.unwrap_or(WIDTH),
        }
    }

    pub(super) fn new(color: Color, quiet: bool, env: &Env) -> Self {
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
            columns: columns(std::io::stdout().as_fd()),
            stderr_columns: columns(std::io::stderr().as_fd()),
        }
    }

    /// Writes a finished report. A reader that went away is no error; any other is told, and changes the exit code: see
    /// [`report_failed`].
    pub(super) fn report(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(e) = written
            && e.kind() != std::io::ErrorKind::BrokenPipe
        {
            FAILED.store(true, Ordering::Relaxed);
            self.say(&format!("{} failed to write to standard output: {e}", self.err(RED, "error:")));
        }
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

/// How wide a stream's terminal is. A pipe, and a terminal that does not know, has room for [`WIDTH`].
fn columns(stream: BorrowedFd<'_>) -> usize {
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_col > 0);
    size.map_or(WIDTH, |size| usize::from(size.ws_col)).clamp(40, 200)
}

/// No text of ours is wider; a path may be.
const WIDTH: usize = 80;

/// Joins pieces that are not to be broken, with spaces or line ends. The text begins in column `indent` of its first
/// line, and so does every line after it.
pub(super) fn fill<S: AsRef<str>>(indent: usize, pieces: impl IntoIterator<Item = S>) -> String {
    let (mut out, mut column) = (String::new(), indent);
    for piece in pieces {
        let piece = piece.as_ref();
        let width = text_columns(piece);
        if column == indent {
        } else if column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(piece);
        column += width;
    }
    out
}

/// A list for [`fill`]: `a,` `b,` `c`.
pub(super) fn listed(names: &[impl std::fmt::Display]) -> Vec<String> {
    let last = names.len().saturating_sub(1);
    names.iter().enumerate().map(|(i, n)| if i < last { format!("{n},") } else { n.to_string() }).collect()
}

/// Breaks sentences between words, never inside of backticks. Lines that begin with a space stay as they are.
pub(super) fn sentences(indent: usize, text: &str) -> String {
    let mut out = String::new();
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if line.starts_with(' ') {
            out.push_str(line);
            continue;
        }
        if i > 0 {
            out.push_str(&" ".repeat(indent));
        }
        let (mut pieces, mut quoted) = (Vec::<String>::new(), false);
        for word in line.split(' ') {
            // `--store DIR`
            let named = |piece: &str| {
                piece.starts_with("--") && !piece.contains(' ') && word.starts_with(char::is_uppercase)
            };
            match pieces.last_mut() {
                Some(piece) if quoted || named(piece) => {
                    piece.push(' ');
                    piece.push_str(word);
                }
                _ => pieces.push(word.to_owned()),
            }
            quoted ^= word.matches('`').count() % 2 == 1;
        }
        out.push_str(&fill(indent, pieces));
    }
    out
}

/// The first 60 columns of a message, in one line.
pub(super) fn brief(message: &str) -> String {
    cut(&crate::path::show_text(message), 60)
}

/// How many columns a text takes.
pub(super) fn text_columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// A text in at most `columns` columns, an ellipsis at its end where it was cut.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text_columns(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = text.chars().take_while(|c| {
        let fits = width(*c) <= left;
        left = left.saturating_sub(width(*c));
        fits
    });
    fits.chain(['…']).collect()
}

/// A text with spaces behind it up to `columns`.
pub(super) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text_columns(text))))
}

/// How many columns a character takes: none for marks that combine with the one before (those of file names that are
/// kept decomposed among them: kana and hangul), two for the wide ones of East Asia and emoji, by Unicode's blocks. A
/// narrow one that is taken for wide costs a column of room, no more.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05bd | 0x0610..=0x061a | 0x064b..=0x065f => 0,
        0x0e31 | 0x0e34..=0x0e3a | 0x0e47..=0x0e4e | 0x1160..=0x11ff | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff => 0,
        0x200b..=0x200d | 0x20d0..=0x20ff | 0x302a..=0x302f | 0x3099..=0x309a | 0xfe00..=0xfe2f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0x231a..=0x231b | 0x23e9..=0x23ec | 0x2705 | 0x2728 | 0x274c | 0x2753..=0x2757 | 0x2b50 => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A path for a command line that a person copies: quoted where a shell needs it, or where it looks like an option.
pub(super) fn shell(path: &std::path::Path) -> String {
    let word = crate::quote::shell_word(path.as_os_str());
    if word.starts_with('-') { format!("'{word}'") } else { word }
}

/// What a terminal of so many columns shows of a text; and that a pipe gets the same words without a colour.
#[cfg(test)]
pub(super) fn on_a_terminal(columns: usize, human: impl Fn(&Term) -> String) -> String {
    let text = human(&Term::of(Some(columns)));
    let mut plain = String::new();
    for (i, part) in text.split('\u{1b}').enumerate() {
        plain.push_str(if i == 0 { part } else { part.split_once('m').expect("an escape has an end").1 });
    }
    let piped = human(&Term::of(None));
    assert!(!piped.contains('\u{1b}'), "{piped}");
    assert_ne!(text, plain, "no colour at all");
    if columns == 80 {
        assert_eq!(plain, piped);
    }
    for line in plain.lines() {
        assert!(text_columns(line) <= columns, "more than {columns} columns: {line}");
    }
    plain
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
    fn text_ends_at_80_columns_and_hangs() {
        let names: Vec<String> = (0..30).map(|i| format!("name_{i}")).collect();
        let text = fill(14, listed(&names));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 3 && lines[0].starts_with("name_0, name_1,"), "{text}");
        assert!(14 + lines[0].len() <= 80 && lines[1..].iter().all(|l| l.len() <= 80), "{text}");
        assert!(lines[1..].iter().all(|l| l.starts_with(&format!("{}name", " ".repeat(14)))), "{text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), names.join(", "));
        // What is too long has a line of its own.
        let long = "x".repeat(90);
        assert_eq!(fill(2, ["a", &long, "b"]), format!("a\n  {long}\n  b"));
    }

    #[test]
    fn sentences_break_between_words_and_not_within_a_command() {
        let text =
            "say it with `one two three four five six seven eight nine ten eleven twelve` and some more";
        assert_eq!(
            sentences(6, text),
            "say it with\n      `one two three four five six seven eight nine ten eleven twelve` and some\n      more"
        );
        assert_eq!(sentences(6, "either:\n        a b\nor"), "either:\n        a b\n      or");
    }

    #[test]
    fn a_message_is_cut() {
        assert_eq!(brief(&"m".repeat(60)), "m".repeat(60));
        assert_eq!(brief(&"m".repeat(61)), format!("{}…", "m".repeat(59)));
    }

    #[test]
    fn what_is_cut_fits_its_columns_also_where_characters_are_wide() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        assert_eq!(cut("漢字漢字", 8), "漢字漢字");
        assert_eq!(cut("漢字漢字", 7), "漢字漢…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
        assert_eq!(brief(&"漢".repeat(31)), "漢".repeat(29) + "…");
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        for (text, columns) in [
            ("abc", 3),
            ("漢字", 4),
            ("e\u{301}", 1),
            ("か\u{3099}", 2),
            ("\u{1112}\u{1161}\u{11ab}", 2),
            ("한", 2),
            ("ไ\u{0e47}", 1),
            ("✅", 2),
            ("🦀", 2),
        ] {
            assert_eq!(text_columns(text), columns, "{text}");
        }
        let text = fill(10, ["漢字漢字"; 20]);
        assert!(text.lines().all(|line| text_columns(line) <= WIDTH) && text.lines().count() > 2, "{text}");
        assert_eq!((padded("漢", 4), padded("e\u{301}", 2)), ("漢  ".into(), "e\u{301} ".into()));
        assert_eq!(padded("longer", 4), "longer");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(1 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "1.0 GiB"]
        );
    }
}
