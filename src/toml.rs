//! A small reader of TOML: every scalar of a document, with the keys that lead to it. It says what stands there, in
//! whichever of its spellings; it refuses no more than what it cannot read.

/// A value that is neither a table nor an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The keys that lead to it. An array stands for one more, which is empty: `a = [{ b = 1 }]` has `a`, ``, `b`.
    pub(crate) path: Vec<String>,
    /// The string, or the value as it is written.
    pub(crate) text: String,
    /// Whether it is a string.
    pub(crate) is_string: bool,
}

impl Scalar {
    /// Whether the keys are these; `*` stands for any one.
    pub(crate) fn is_at(&self, keys: &[&str]) -> bool {
        self.path.len() == keys.len() && self.path.iter().zip(keys).all(|(a, b)| *b == "*" || a == b)
    }
}

/// The scalars of a document in their order. `None` where it is no TOML; what cargo would refuse for another reason
/// may pass.
pub(crate) fn scalars(toml: &[u8]) -> Option<Vec<Scalar>> {
    Some(Document::read(toml)?.scalars)
}

/// A document: its scalars, and its tables and arrays, which may hold none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// Its scalars in their order.
    pub(crate) scalars: Vec<Scalar>,
    tables: Vec<Vec<String>>,
}

impl Document {
    /// Reads a document; as [`scalars`].
    pub(crate) fn read(toml: &[u8]) -> Option<Document> {
        let text = std::str::from_utf8(toml).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader { rest: text, found: Document::default() };
        reader.document()?;
        Some(reader.found)
    }

    /// Whether there is anything at these keys or below them.
    pub(crate) fn has(&self, keys: &[&str]) -> bool {
        let starts =
            |path: &Vec<String>| path.len() >= keys.len() && path.iter().zip(keys).all(|(a, b)| a == b);
        self.tables.iter().any(starts) || self.scalars.iter().any(|scalar| starts(&scalar.path))
    }

    /// The strings at these keys; `*` stands for any one.
    pub(crate) fn strings(&self, keys: &[&str]) -> impl Iterator<Item = &str> {
        self.scalars.iter().filter(move |s| s.is_string && s.is_at(keys)).map(|s| s.text.as_str())
    }
}

impl Reader<'_> {
    fn document(&mut self) -> Option<()> {
        let mut table = Vec::new();
        loop {
            self.skip(true)?;
            if self.rest.is_empty() {
                return Some(());
            }
            let array = self.take("[[");
            if array || self.take("[") {
                table = self.key()?;
                self.take(if array { "]]" } else { "]" }).then_some(())?;
                self.found.tables.push(table.clone());
                table.extend(array.then(String::new));
            } else {
                self.pair(&mut table, 0)?;
            }
            self.end_of_line()?;
        }
    }
}

/// Deeper than anybody nests values; a bound for what somebody made up.
const DEEPEST: usize = 100;

/// Walks over TOML and keeps the scalars.
struct Reader<'a> {
    rest: &'a str,
    found: Document,
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
            self.found.tables.push(path.clone());
            self.inline_table(path, depth)
        } else if self.rest.starts_with(['"', '\'']) {
            let text = self.string()?;
            self.found.scalars.push(Scalar { path: path.clone(), text, is_string: true });
            Some(())
        } else {
            // A number, a date or a truth value.
            let end = self.rest.find([',', ']', '}', '#', '\n', '\r']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            let text = value.trim().to_owned();
            (!text.is_empty())
                .then(|| self.found.scalars.push(Scalar { path: path.clone(), text, is_string: false }))
        }
    }

    fn array(&mut self, path: &mut Vec<String>, depth: usize) -> Option<()> {
        self.found.tables.push(path.clone());
        path.push(String::new());
        loop {
            self.skip(true)?;
            if self.take("]") {
                break;
            }
            self.value(path, depth + 1)?;
            self.skip(true)?;
            if !self.take(",") {
                self.take("]").then_some(())?;
                break;
            }
        }
        path.pop();
        Some(())
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

    fn read(text: &str) -> Option<Vec<String>> {
        let shown =
            |s: Scalar| format!("{}={}{}", s.path.join("."), if s.is_string { "'" } else { "" }, s.text);
        Some(scalars(text.as_bytes())?.into_iter().map(shown).collect())
    }

    #[test]
    fn scalars_are_found_in_every_spelling() {
        for (text, wanted) in [
            ("[a.b]\nc = { d.e = 'x', f = true }\n", &["a.b.c.d.e='x", "a.b.c.f=true"][..]),
            (
                "[ a . \"b c\" ]\nd = [\"x\", { e = 'y' }, ['z']] # ]\n",
                &["a.b c.d.='x", "a.b c.d..e='y", "a.b c.d..='z"],
            ),
            ("[[a]]\nb = 1\n[[a]]\nb = 1979-05-27 07:32:00\n", &["a..b=1", "a..b=1979-05-27 07:32:00"]),
            ("a.b = \"\"\"\nx\\\n  y\"\"\"\nc = 'z'\r\n", &["a.b='xy", "c='z"]),
        ] {
            assert_eq!(read(text).unwrap_or_default(), wanted, "{text}");
        }
        let document = Document::read(b"[a.b]\nc = {}").unwrap_or_default();
        assert!(document.has(&["a"]) && document.has(&["a", "b", "c"]) && !document.has(&["b"]));
        let scalar = scalars(b"[a]\nb.c = 1").unwrap_or_default().remove(0);
        assert!(
            scalar.is_at(&["a", "*", "c"]) && !scalar.is_at(&["a", "c"]) && !scalar.is_at(&["a", "b", "d"])
        );
    }
}
