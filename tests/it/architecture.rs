//! The order of the house, read from the imports of every source file.
//!
//! The reader knows nothing of Rust but paths: comments and literals are blanked, unit tests are left out, and every
//! path that starts with `crate`, `super`, `self` or a child module counts as an import, nested `use` groups
//! included. A name that a module only hands on (`pub use`) counts as an import of the file that defines it.
//! Imports of one top-level module by another follow [`LAYERS`]; within a module no two files import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every top-level module, from the ground up: a module may import those above it in this table and no others.
const LAYERS: &[&str] = &[
    // Values, and the words to tell them with.
    "level",
    "guard_file",
    "text",
    "quote",
    "error",
    "order",
    "parallel",
    "clock",
    "digest",
    "path",
    "toml",
    "manifest",
    "glob",
    "event",
    "check",
    // What reaches the system.
    "process",
    "job",
    "fsx",
    // What is kept, and what is to be kept.
    "archive",
    "store",
    "settings",
    "workspace",
    "select",
    "live_tree",
    // The operations.
    "backup",
    "validate",
    "repair",
    "rollback",
    "diff",
    "retention",
    "explain",
    "compile",
    "drill",
    "checkpoint",
    "init",
    // The edge. The guard is compiled alone and imports nothing but `level` and `guard_file`.
    "cli",
    "build_script",
];

/// The most lines of one source file.
const MOST_LINES: usize = 450;

#[test]
fn arrows_point_down() {
    let faults = House::read(&source_directory()).faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_source_file_is_too_long() {
    let mut long = Vec::new();
    for file in rust_files(&source_directory()) {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        if lines > MOST_LINES {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "split what has more than {MOST_LINES} lines:\n{}", long.join("\n"));
}

/// Everybody whose build script has a guard compiles it.
#[test]
fn the_guard_is_small() {
    let lines = |file: &PathBuf| std::fs::read_to_string(file).unwrap().lines().count();
    let guard: usize = rust_files(&source_directory().join("build_script")).iter().map(lines).sum();
    assert!((1..=600).contains(&guard), "{guard} lines in src/build_script");
    let beside: usize =
        ["level.rs", "guard_file.rs"].map(|name| lines(&source_directory().join(name))).iter().sum();
    assert!(guard + beside <= 800, "{} lines are compiled beside lib.rs", guard + beside);
}

/// Whoever needs one on the day reads it before it is started.
#[test]
fn the_rollback_scripts_can_be_read_from_top_to_bottom() {
    for (name, most) in [("rollback.py", 500), ("rollback.sh", 600)] {
        let text = std::fs::read_to_string(source_directory().join("rollback").join(name)).unwrap();
        let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(lines.len() <= most, "{name}: {} lines", lines.len());
        assert!(lines.iter().sum::<usize>() <= 80 * lines.len(), "{name}: its lines are too long");
        assert!(
            !text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "eval"),
            "{name}: it evaluates text"
        );
    }
}

fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

pub(crate) fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// A module's path from the crate's root; empty for the root itself.
type ModulePath = Vec<String>;

/// A path in the text, made absolute, and its line.
struct Import {
    path: ModulePath,
    line: usize,
}

/// One source file.
#[derive(Default)]
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    /// Children that are compiled for unit tests only.
    tests: BTreeSet<String>,
    imports: Vec<Import>,
    /// What `pub use` hands on: the name, and what it stands for.
    handed_on: BTreeMap<String, ModulePath>,
}

struct House {
    root: PathBuf,
    modules: BTreeMap<ModulePath, Module>,
}

impl House {
    fn read(root: &Path) -> House {
        let mut house = House { root: root.to_path_buf(), modules: BTreeMap::new() };
        house.add(Vec::new(), root.join("lib.rs"));
        house
    }

    /// Reads a file and, as its `mod` lines say, those below it.
    fn add(&mut self, path: ModulePath, file: PathBuf) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut module = Reader::new(&path, &text).read();
        module.file = file;
        let dir = path.iter().fold(self.root.clone(), |dir, name| dir.join(name));
        for child in module.children.difference(&module.tests).cloned().collect::<Vec<_>>() {
            let below = [&path[..], std::slice::from_ref(&child)].concat();
            let alone = dir.join(format!("{child}.rs"));
            let file = if alone.exists() { alone } else { dir.join(&child).join("mod.rs") };
            self.add(below, file);
        }
        self.modules.insert(path, module);
    }

    /// The module whose file defines what `path` names.
    fn home(&self, path: &[String]) -> ModulePath {
        let mut at = ModulePath::new();
        for (i, name) in path.iter().enumerate() {
            let module = &self.modules[&at];
            if module.children.contains(name) && !module.tests.contains(name) {
                at.push(name.clone());
            } else if let Some(target) = module.handed_on.get(name).filter(|target| target[..] != path[..=i])
            {
                return self.home(&[&target[..], &path[i + 1..]].concat());
            } else {
                break;
            }
        }
        at
    }

    fn shown(&self, module: &[String]) -> String {
        let file = &self.modules[module].file;
        format!("src/{}", file.strip_prefix(&self.root).unwrap().display())
    }

    /// What is wrong, each with file and line.
    fn faults(&self) -> Vec<String> {
        let mut out = Vec::new();
        let top: Vec<&String> = self.modules[&Vec::new()].children.iter().collect();
        out.extend(
            top.iter()
                .filter(|name| !LAYERS.contains(&name.as_str()))
                .map(|name| format!("src/lib.rs: `{name}` has no place in the table of layers")),
        );
        out.extend(
            LAYERS
                .iter()
                .filter(|name| !top.iter().any(|t| t == *name))
                .map(|name| format!("the table of layers has `{name}`, and src/ does not")),
        );
        let height = |name: &str| LAYERS.iter().position(|layer| *layer == name);
        let mut edges: BTreeMap<&ModulePath, BTreeMap<ModulePath, usize>> = BTreeMap::new();
        for (from, module) in self.modules.iter().filter(|(from, _)| !from.is_empty()) {
            for import in &module.imports {
                let to = self.home(&import.path);
                let place = format!("{}:{}", self.shown(from), import.line);
                let written = import.path.join("::");
                let Some(top) = to.first() else {
                    out.push(format!("{place}: `crate::{written}` names no module"));
                    continue;
                };
                if *top != from[0] && height(top) >= height(&from[0]) {
                    out.push(format!(
                        "{place}: `crate::{written}` points up: {} stands below {top}",
                        from[0]
                    ));
                }
                if to != *from && to[0] == from[0] {
                    edges.entry(from).or_default().entry(to).or_insert(import.line);
                }
            }
        }
        out.extend(self.circles(&edges));
        out
    }

    /// Files of one module that import each other, be it by way of others. Modules cannot: no arrow points up.
    fn circles(&self, edges: &BTreeMap<&ModulePath, BTreeMap<ModulePath, usize>>) -> Vec<String> {
        let reach = |from: &ModulePath| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(at) = open.pop() {
                let next = edges.get(&at).into_iter().flat_map(BTreeMap::keys);
                open.extend(next.filter(|to| seen.insert((*to).clone())).cloned());
            }
            seen
        };
        let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> =
            edges.keys().map(|from| (*from, reach(from))).collect();
        let mut out = Vec::new();
        for (from, targets) in edges {
            for (to, line) in
                targets.iter().filter(|(to, _)| reached.get(to).is_some_and(|r| r.contains(*from)))
            {
                out.push(format!("{}:{line}: a circle by way of {}", self.shown(from), self.shown(to)));
            }
        }
        out
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Sep,
    Sign(char),
}

/// Finds the paths in one file.
struct Reader<'a> {
    module: &'a [String],
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// Modules with a body in this file that are open, each with the depth of its braces.
    inline: Vec<(String, usize)>,
    depth: usize,
    found: Module,
}

impl<'a> Reader<'a> {
    fn new(module: &'a [String], text: &str) -> Self {
        Reader { module, tokens: tokens(text), at: 0, inline: Vec::new(), depth: 0, found: Module::default() }
    }

    fn read(mut self) -> Module {
        for i in 0..self.tokens.len() {
            if let (true, Some(name), true) =
                (self.is_word(i, "mod"), self.word(i + 1), self.is_sign(i + 2, ';'))
            {
                self.found.children.insert(name.to_owned());
            }
        }
        let mut spoken = Vec::new();
        while self.at < self.tokens.len() {
            let at = self.at;
            self.step();
            // A `use` and a unit test speak for themselves.
            let passed_over = self.is_word(at, "use") || self.is_sign(at, '#');
            spoken.extend((at..self.at).filter(|i| !passed_over && self.speaks_of(*i)));
        }
        // What is handed on and used as well is imported as well.
        for at in spoken {
            let name = self.word(at).unwrap_or_default();
            if let Some(path) = self.found.handed_on.get(name).cloned() {
                self.found.imports.push(Import { path, line: self.tokens[at].1 });
            }
        }
        self.found
    }

    /// Whether a name stands here for itself: no member, no part of a longer path, no definition.
    fn speaks_of(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map(|i| &self.tokens[i].0);
        let member = matches!(before, Some(Token::Sep | Token::Sign('.')));
        let defined = at > 0 && ["fn", "mod", "let"].iter().any(|word| self.is_word(at - 1, word));
        let module = self.word(at).is_some_and(|word| self.found.children.contains(word));
        let field = self.is_sign(at + 1, ':');
        !member && !defined && !module && !field && self.word(at).is_some()
    }

    fn step(&mut self) {
        let at = self.at;
        self.at += 1;
        if self.is_sign(at, '{') {
            self.depth += 1;
        } else if self.is_sign(at, '}') {
            self.depth = self.depth.saturating_sub(1);
            self.inline.pop_if(|(_, depth)| *depth == self.depth);
        } else if self.is_sign(at, '#') && self.is_test_attribute(at) {
            self.skip_item(at + 7);
        } else if self.is_word(at, "mod") && self.is_sign(at + 2, '{') {
            let name = self.word(at + 1).unwrap_or_default().to_owned();
            self.inline.push((name, self.depth));
            self.at = at + 2;
        } else if self.is_word(at, "use") {
            let public = at > 0 && (self.is_word(at - 1, "pub") || self.is_sign(at - 1, ')'));
            self.tree(Vec::new(), public);
        } else if self.starts_path(at) {
            let mut path = vec![self.word(at).unwrap_or_default().to_owned()];
            while self.tokens.get(self.at).is_some_and(|t| t.0 == Token::Sep)
                && let Some(name) = self.word(self.at + 1).map(str::to_owned)
            {
                path.push(name);
                self.at += 2;
            }
            self.import(&path, at);
        }
    }

    /// One branch of a `use`, from after what leads to it up to its comma or end.
    fn tree(&mut self, mut path: Vec<String>, public: bool) {
        let start = self.at;
        loop {
            let token = self.tokens.get(self.at).map(|t| t.0.clone());
            self.at += 1;
            match token {
                Some(Token::Word(word)) if word == "as" => {
                    let alias = self.word(self.at).unwrap_or_default().to_owned();
                    self.at += 1;
                    return self.leaf(&path, &alias, start, public);
                }
                Some(Token::Word(word)) => path.push(word),
                Some(Token::Sep) => {}
                Some(Token::Sign('{')) => {
                    while !self.is_sign(self.at, '}') && self.at < self.tokens.len() {
                        self.tree(path.clone(), public);
                        if self.is_sign(self.at, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Some(Token::Sign('*')) => path.push("*".into()),
                _ => {
                    self.at -= 1;
                    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
                        path.pop();
                    }
                    let name = path.last().cloned().unwrap_or_default();
                    return self.leaf(&path, &name, start, public);
                }
            }
        }
    }

    fn leaf(&mut self, path: &[String], name: &str, start: usize, public: bool) {
        let Some(absolute) = self.absolute(path) else { return };
        // Handing on what a child defines is no use of it.
        if public && self.inline.is_empty() {
            self.found.handed_on.insert(name.to_owned(), absolute.clone());
            if absolute.starts_with(self.module) {
                return;
            }
        }
        self.import(path, start);
    }

    fn import(&mut self, path: &[String], token: usize) {
        let line = self.tokens[token].1;
        if let Some(path) = self.absolute(path) {
            self.found.imports.push(Import { path, line });
        }
    }

    /// The path from the crate's root; `None` for what lies in another crate.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let mut here = self.module.to_vec();
        here.extend(self.inline.iter().map(|(name, _)| name.clone()));
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (here, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            name if self.inline.is_empty() && self.found.children.contains(name) => {}
            _ => return None,
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }

    fn starts_path(&self, at: usize) -> bool {
        let behind = at.checked_sub(1).map(|i| &self.tokens[i].0);
        // `pub(in crate::x)` says who may see, and imports nothing.
        if at > 1 && self.is_word(at - 1, "in") && self.is_sign(at - 2, '(') {
            return false;
        }
        let starts = self.word(at).is_some_and(|word| {
            ["crate", "super", "self"].contains(&word) || self.found.children.contains(word)
        });
        starts
            && self.tokens.get(at + 1).is_some_and(|t| t.0 == Token::Sep)
            && !matches!(behind, Some(Token::Sep | Token::Sign('.')))
    }

    /// `#[cfg(test)]`
    fn is_test_attribute(&self, at: usize) -> bool {
        self.is_sign(at + 1, '[')
            && self.is_word(at + 2, "cfg")
            && self.is_sign(at + 3, '(')
            && self.is_word(at + 4, "test")
            && self.is_sign(at + 5, ')')
    }

    /// Goes past the item that starts at `at`: to its semicolon, or to the end of its braces.
    fn skip_item(&mut self, at: usize) {
        if let (true, Some(name), true) =
            (self.is_word(at, "mod"), self.word(at + 1), self.is_sign(at + 2, ';'))
        {
            self.found.tests.insert(name.to_owned());
        }
        self.at = at;
        let mut depth = 0;
        while self.at < self.tokens.len() {
            depth += usize::from(self.is_sign(self.at, '{'));
            if self.is_sign(self.at, '}') {
                depth -= 1;
            }
            let ends = self.is_sign(self.at, ';') || self.is_sign(self.at, '}');
            self.at += 1;
            if ends && depth == 0 {
                return;
            }
        }
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        self.word(at) == Some(word)
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at).is_some_and(|t| t.0 == Token::Sign(sign))
    }
}

/// The words and signs of a text with their lines, without comments and literals.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    let rest = |i: usize, start: &str| start.chars().enumerate().all(|(k, c)| chars.get(i + k) == Some(&c));
    while i < chars.len() {
        let start = i;
        if rest(i, "//") {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if rest(i, "/*") {
            let mut depth = 0;
            loop {
                match (rest(i, "/*"), rest(i, "*/")) {
                    (true, _) => (depth, i) = (depth + 1, i + 2),
                    (_, true) => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if chars[i].is_alphanumeric() || chars[i] == '_' {
            while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
            if word.ends_with('r') && word.len() <= 2 && chars.get(i + hashes) == Some(&'"') {
                let end = format!("\"{}", "#".repeat(hashes));
                i += hashes + 1;
                while i < chars.len() && !rest(i, &end) {
                    i += 1;
                }
                i += end.len();
            } else {
                out.push((Token::Word(word), line));
            }
        } else if chars[i] == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += 1 + usize::from(chars[i] == '\\');
            }
            i += 1;
        } else if chars[i] == '\'' {
            // A character, or the name of a lifetime, which is left as a word.
            if chars.get(i + 1) == Some(&'\\') {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            } else {
                i += if chars.get(i + 2) == Some(&'\'') { 3 } else { 1 };
            }
        } else if rest(i, "::") {
            out.push((Token::Sep, line));
            i += 2;
        } else {
            if !chars[i].is_whitespace() {
                out.push((Token::Sign(chars[i]), line));
            }
            i += 1;
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}
