//! `members` and `exclude` of a root manifest, as written there. Cargo tells which packages the workspace has, not by
//! which patterns it found them; who rolls back without cargo needs those: a directory that appeared since may be a
//! member by one of them.

use serde::{Deserialize, Serialize};

/// `workspace.members` and `workspace.exclude`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberGlobs {
    /// `workspace.members`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// `workspace.exclude`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl MemberGlobs {
    /// Reads them from the text of a root manifest. `None` where it is no TOML; what cargo would refuse for another
    /// reason may pass.
    pub(crate) fn read(toml: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(toml).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader { rest: text, found: Self::default() };
        let mut table = Vec::new();
        loop {
            reader.skip(true)?;
            if reader.rest.is_empty() {
                return Some(reader.found);
            }
            let array = reader.take("[[");
            if array || reader.take("[") {
                table = reader.key()?;
                reader.take(if array { "]]" } else { "]" }).then_some(())?;
            } else {
                reader.pair(&mut table, 0)?;
            }
            reader.end_of_line()?;
        }
    }

    fn list(&mut self, path: &[String]) -> Option<&mut Vec<String>> {
        match path {
            [workspace, key] if workspace == "workspace" => match key.as_str() {
                "members" => Some(&mut self.members),
                "exclude" => Some(&mut self.exclude),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Deeper than anybody nests values; a bound for what somebody made up.
const DEEPEST: usize = 100;

/// Walks over TOML and keeps the two lists.
struct Reader<'a> {
    rest: &'a str,
    found: MemberGlobs,
}

impl Reader<'_> {
    fn take(&mut self, what: &str) -> bool {
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Skips blanks, and with `lines` also newlines and comments.
    fn skip(&mut self, lines: bool) -> Option<()> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if !lines {
                return Some(());
            }
            if self.rest.starts_with('#') {
                self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
            }
            if !(self.take("\n") || self.take("\r\n")) {
                return Some(());
            }
        }
    }

    fn end_of_line(&mut self) -> Option<()> {
        self.skip(false)?;
        (self.rest.is_empty() || self.rest.starts_with(['#', '\n']) || self.rest.starts_with("\r\n"))
            .then_some(())
    }

    /// A key with its dots, and the blanks around it.
    fn key(&mut self) -> Option<Vec<String>> {
        let mut parts = Vec::new();
        loop {
            self.skip(false)?;
            parts.push(match self.rest.starts_with(['"', '\'']) {
                true => self.string()?,
                false => {
                    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    let end = self.rest.find(|c| !bare(c)).unwrap_or(self.rest.len());
                    let (part, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    (!part.is_empty()).then(|| part.to_owned())?
                }
            });
            self.skip(false)?;
            if !self.take(".") {
                return Some(parts);
            }
        }
    }

    /// `key = value`, below the table at `path`.
    fn pair(&mut self, path: &mut Vec<String>, depth: usize) -> Option<()> {
        let above = path.len();
        path.extend(self.key()?);
        self.take("=").then_some(())?;
        self.skip(false)?;
        self.value(path, depth + 1)?;
        path.truncate(above);
        Some(())
    }

    fn value(&mut self, path: &mut Vec<String>, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        if self.take("[") {
            self.array(path, depth)
        } else if self.take("{") {
            self.inline_table(path, depth)
        } else if self.rest.starts_with(['"', '\'']) {
            self.string().map(drop)
        } else {
            // A number, a date or a truth value.
            let end = self.rest.find([',', ']', '}', '#', '\n', '\r']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            (!value.trim().is_empty()).then_some(())
        }
    }

    fn array(&mut self, path: &[String], depth: usize) -> Option<()> {
        loop {
            self.skip(true)?;
            if self.take("]") {
                return Some(());
            }
            if self.rest.starts_with(['"', '\'']) {
                let text = self.string()?;
                if let Some(list) = self.found.list(path) {
                    list.push(text);
                }
            } else {
                // What lies in an array is below no table: no path that begins so is looked for.
                self.value(&mut vec![String::new()], depth + 1)?;
            }
            self.skip(true)?;
            if !self.take(",") {
                return self.take("]").then_some(());
            }
        }
    }

    fn inline_table(&mut self, path: &mut Vec<String>, depth: usize) -> Option<()> {
        loop {
            self.skip(true)?;
            if self.take("}") {
                return Some(());
            }
            self.pair(path, depth)?;
            self.skip(true)?;
            if !self.take(",") {
                return self.take("}").then_some(());
            }
        }
    }

    /// A string of any of the four kinds.
    fn string(&mut self) -> Option<String> {
        for (quote, lines, escapes) in
            [("\"\"\"", true, true), ("'''", true, false), ("\"", false, true), ("'", false, false)]
        {
            if self.take(quote) {
                if lines {
                    let _ = self.take("\n") || self.take("\r\n");
                }
                return self.string_to(quote, lines, escapes);
            }
        }
        None
    }

    fn string_to(&mut self, quote: &str, lines: bool, escapes: bool) -> Option<String> {
        let mut out = String::new();
        loop {
            if self.take(quote) {
                // Up to two quotes may stand right before the closing three.
                while lines && self.take(&quote[..1]) {
                    out.push_str(&quote[..1]);
                }
                return Some(out);
            }
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\\' if escapes => out.extend(self.escape(lines)?),
                '\n' if !lines => return None,
                c => out.push(c),
            }
        }
    }

    /// What stands behind a backslash; nothing for one that ends a line.
    fn escape(&mut self, lines: bool) -> Option<Option<char>> {
        let c = self.rest.chars().next()?;
        if lines && matches!(c, ' ' | '\t' | '\r' | '\n') {
            let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            self.rest[..blank].contains('\n').then_some(())?;
            self.rest = &self.rest[blank..];
            return Some(None);
        }
        self.rest = &self.rest[c.len_utf8()..];
        let digits = match c {
            'b' => return Some(Some('\u{8}')),
            't' => return Some(Some('\t')),
            'n' => return Some(Some('\n')),
            'f' => return Some(Some('\u{c}')),
            'r' => return Some(Some('\r')),
            'e' => return Some(Some('\u{1b}')),
            '"' | '\\' => return Some(Some(c)),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return None,
        };
        let code = u32::from_str_radix(self.rest.get(..digits)?, 16).ok()?;
        self.rest = &self.rest[digits..];
        char::from_u32(code).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Vec<String>, Vec<String>)> {
        MemberGlobs::read(text.as_bytes()).map(|g| (g.members, g.exclude))
    }

    /// Every shape in which a root manifest may say it.
    const SHAPES: [(&str, &[&str], &[&str]); 12] = [
        ("", &[], &[]),
        ("[package]\nname = \"a\"\n", &[], &[]),
        ("[workspace]\nmembers = [\"a\", 'b/*',]\nexclude = [\"c\"]", &["a", "b/*"], &["c"]),
        ("[workspace]\r\nmembers = [ # ]\r\n  \"a\",\r\n # \"z\"\r\n 'b' ]\r\n", &["a", "b"], &[]),
        ("workspace.members = [\"a\"]\nworkspace . exclude = []\n[package]\nmembers = [\"z\"]", &["a"], &[]),
        ("workspace = { members = [\"a\"], exclude = ['c'], x = { members = [\"z\"] } }", &["a"], &["c"]),
        ("[\"workspace\"]\n'members' = [\"\"\"\na\\\n   b\"\"\", '''c''']\n", &["ab", "c"], &[]),
        ("[workspace]\nmembers = [\"a\\u0062\\\"\\\\\"]\n", &["ab\"\\"], &[]),
        ("[workspace.metadata.x]\nmembers = [\"z\"]\n[[bin]]\nmembers = [\"z\"]\n", &[], &[]),
        ("[workspace]\ndefault-members = [\"z\"]\nmembers = [\"a\"]\n", &["a"], &[]),
        ("t = \"\"\"\n[workspace]\nmembers = ['z']\n\"\"\"\"\"\nd = 1979-05-27 07:32:00\n", &[], &[]),
        ("[x]\ny = [[\"z\"], { workspace.members = [\"z\"] }, 1]\n[workspace]\nmembers = ['a']", &["a"], &[]),
    ];

    #[test]
    fn the_globs_are_read_as_written_in_every_shape() {
        for (text, members, exclude) in SHAPES {
            let wanted = [members, exclude].map(|l| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
            assert_eq!(read(text), Some(wanted.into()), "{text}");
        }
    }

    /// Another reader of TOML agrees that each shape is TOML, and about what stands in it.
    #[cfg(feature = "install")]
    #[test]
    fn the_globs_are_what_a_whole_reader_of_toml_finds() {
        for (text, ..) in SHAPES {
            let document = toml_edit::Document::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let list = |key: &str| -> Vec<String> {
                let found = document.get("workspace").and_then(|w| w.get(key)).and_then(|l| l.as_array());
                found.map_or_else(Vec::new, |l| {
                    l.iter().map(|v| v.as_str().unwrap_or_default().into()).collect()
                })
            };
            assert_eq!(read(text), Some((list("members"), list("exclude"))), "{text}");
        }
    }

    #[test]
    fn what_is_no_toml_gives_nothing_and_never_panics() {
        for text in
            ["[workspace", "members = [\"a\"", "a = \"b", "= 1", "a = \"\\q\"", "a = 1 b = 2\n[[", "\"\\u12"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(MemberGlobs::read(b"\xff"), None);
        assert_eq!(read(&format!("a = {}", "[".repeat(1_000_000))), None);
        for (text, ..) in SHAPES {
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                let _ = read(&text[..end]);
            }
        }
    }
}
