//! What git says of a directory: which paths it ignores and which it tracks. Only `ls-files`, `check-ignore` and
//! `rev-parse` are run (I5, I8): they run no filters, and write nothing.
//!
//! Git's own answers need care:
//! - `ls-files --directory` names a directory of which *everything present* is ignored as if it were ignored
//!   itself, and its contents as well. A rule ignores the contents only; such a directory is "hollow".
//! - An ignored directory is collapsed only where git tracks nothing in it.
//! - In an ignored directory it answers `./`; below one it fails with an "internal error".
//! - It neither looks into embedded repositories nor into submodules: ask anew inside.

use std::ffi::OsStr;
use std::path::Path;

use crate::manifest::GitState;
use crate::order;
use crate::path::show_text;
use crate::process;

/// How far git can judge a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GitAnswer {
    /// There is no repository: nothing is ignored.
    NoRepository,
    /// Git works.
    Working,
    /// Git works, and ignores the directory itself.
    Swallowed,
    /// There is a repository, and git cannot say anything about it; the reason.
    Broken(String),
}

/// Git's judgement of the paths below one directory, asked once. All paths are relative to that directory.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// How far git can judge.
    pub(crate) answer: GitAnswer,
    /// Ignored, collapsed, sorted.
    ignored: Vec<Box<[u8]>>,
    /// Directories that hold ignored things only, without being ignored.
    hollow: Vec<Box<[u8]>>,
    /// Everything in the index, submodules among it; sorted.
    tracked: Vec<Box<[u8]>>,
    /// What of `tracked` a rule ignores; sorted.
    tracked_though_ignored: Vec<Box<[u8]>>,
}

impl Rules {
    /// The rules where there is no git.
    pub(crate) fn none() -> Rules {
        Rules {
            answer: GitAnswer::NoRepository,
            ignored: Vec::new(),
            hollow: Vec::new(),
            tracked: Vec::new(),
            tracked_though_ignored: Vec::new(),
        }
    }

    /// Asks git about `directory`, an absolute path without links.
    pub(crate) fn ask(directory: &Path) -> Rules {
        if !directory.ancestors().any(|dir| dir.join(".git").symlink_metadata().is_ok()) {
            return Rules::none();
        }
        let run = |args: &[&str]| {
            let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
            match process::git(directory, &args, None) {
                Ok(answer) if answer.ok => Ok(answer.stdout),
                Ok(answer) => Err(message(&answer.stderr)),
                Err(error) => Err(error.to_string()),
            }
        };
        let (tracked, judged) = std::thread::scope(|scope| {
            let tracked = scope.spawn(|| run(&["ls-files", "-c", "-z"]));
            // With `-t` every path comes after a letter: `?` where it is untracked.
            let judged =
                run(&["ls-files", "-t", "-c", "-o", "-i", "--exclude-standard", "--directory", "-z"]);
            (tracked.join().unwrap_or_else(|_| Err("the question was interrupted".into())), judged)
        });
        let tracked = match tracked {
            Ok(bytes) => sorted(bytes.split(|b| *b == 0).filter(|p| !p.is_empty()).map(Box::from).collect()),
            Err(why) => return Rules { answer: GitAnswer::Broken(why), ..Rules::none() },
        };
        match judged {
            Ok(bytes) => parse(&bytes, tracked),
            Err(_) if run(&["check-ignore", "-q", "."]).is_ok() => {
                Rules { answer: GitAnswer::Swallowed, tracked, ..Rules::none() }
            }
            Err(why) => Rules { answer: GitAnswer::Broken(why), ..Rules::none() },
        }
    }

    /// The same, with nothing ignored.
    pub(crate) fn set_aside(self) -> Rules {
        Rules { ignored: Vec::new(), hollow: Vec::new(), tracked_though_ignored: Vec::new(), ..self }
    }

    /// Whether git ignores exactly this path. What lies below an ignored directory is not asked for.
    pub(crate) fn ignores(&self, path: &[u8]) -> bool {
        has(&self.ignored, path)
    }

    /// Whether everything in this directory is ignored, although the directory is not.
    pub(crate) fn is_hollow(&self, path: &[u8]) -> bool {
        has(&self.hollow, path)
    }

    /// Whether git tracks this path although a rule ignores it.
    pub(crate) fn tracks_though_ignored(&self, path: &[u8]) -> bool {
        has(&self.tracked_though_ignored, path)
    }

    /// Whether git tracks exactly this path; a directory that it tracks is a submodule.
    pub(crate) fn tracks(&self, path: &[u8]) -> bool {
        has(&self.tracked, path)
    }

    /// What git tracks below a directory.
    pub(crate) fn tracked_below(&self, directory: &[u8]) -> impl Iterator<Item = &[u8]> {
        let prefix = [directory, b"/"].concat();
        let from = self.tracked.partition_point(|path| **path < *prefix);
        self.tracked[from..].iter().map(|path| &**path).take_while(move |path| path.starts_with(&prefix))
    }

    /// What git ignores, directories collapsed, sorted.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = &[u8]> {
        self.ignored.iter().map(|path| &**path)
    }
}

fn parse(bytes: &[u8], tracked: Vec<Box<[u8]>>) -> Rules {
    let mut rules = Rules { answer: GitAnswer::Working, tracked, ..Rules::none() };
    let mut others: Vec<&[u8]> = Vec::new();
    for line in bytes.split(|b| *b == 0) {
        match line {
            b"? ./" => rules.answer = GitAnswer::Swallowed,
            [b'?', b' ', path @ ..] => others.push(path),
            [_, b' ', path @ ..] => rules.tracked_though_ignored.push(path.into()),
            _ => {}
        }
    }
    order::sort(&mut others);
    for (i, path) in others.iter().enumerate() {
        match path.strip_suffix(b"/") {
            // Sorted, the contents of a directory follow it.
            Some(dir) if others.get(i + 1).is_some_and(|next| next.starts_with(path)) => {
                rules.hollow.push(dir.into());
            }
            Some(dir) => rules.ignored.push(dir.into()),
            None => rules.ignored.push((*path).into()),
        }
    }
    rules.ignored = sorted(rules.ignored);
    rules.hollow = sorted(rules.hollow);
    rules.tracked_though_ignored = sorted(rules.tracked_though_ignored);
    rules
}

fn sorted(mut paths: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    order::sort(&mut paths);
    // An unmerged path stands in the index up to three times.
    paths.dedup();
    paths
}

fn has(paths: &[Box<[u8]>], path: &[u8]) -> bool {
    paths.binary_search_by(|p| (**p).cmp(path)).is_ok()
}

/// What git says of a failure, on one line: the command that repairs it stands below the first (`safe.directory`).
fn message(stderr: &str) -> String {
    let mut out = String::new();
    for line in stderr.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let joint = match out.chars().last() {
            None => "",
            Some(':') => " ",
            Some(_) => "; ",
        };
        out = out + joint + line.strip_prefix("fatal: ").unwrap_or(line);
    }
    if out.is_empty() { "git fails without a word".into() } else { show_text(&out) }
}

/// Whether git ignores a path of `directory`; the reason where git does not say.
pub(crate) fn is_ignored(directory: &Path, path: &Path) -> Result<bool, String> {
    let args = [OsStr::new("check-ignore"), OsStr::new("-q"), OsStr::new("--"), path.as_os_str()];
    match process::git(directory, &args, None) {
        Ok(answer) if answer.ok => Ok(true),
        Ok(answer) if answer.code == Some(1) => Ok(false),
        Ok(answer) => Err(message(&answer.stderr)),
        Err(error) => Err(error.to_string()),
    }
}

/// Where git stands in `directory`; `None` where it does not work.
pub(crate) fn state(directory: &Path) -> Option<GitState> {
    let run = |args: &[&str]| {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let answer = process::git(directory, &args, None).ok()?;
        answer.ok.then(|| String::from_utf8_lossy(&answer.stdout).trim_end().to_owned())
    };
    if let Some(text) = run(&["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"]) {
        let mut lines = text.lines();
        let head = lines.next().map(str::to_owned);
        let branch = lines.next().and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned);
        return Some(GitState { head, branch, dirty: None });
    }
    // Before the first commit `rev-parse HEAD` fails; the branch's name stands in the file alone.
    let file = run(&["rev-parse", "--git-path", "HEAD"])?;
    let text = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
    let branch = text.trim_end().strip_prefix("ref: refs/heads/").map(str::to_owned);
    Some(GitState { head: None, branch, dirty: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::RelPath;

    #[test]
    fn a_directory_with_ignored_contents_only_is_not_ignored_itself() {
        let answer =
            b"? full/\0? full/a.log\0? gone/\0? x.log\0H kept.log\0? full/deep/\0? full/deep/b.log\0";
        let rules = parse(answer, Vec::new());
        assert_eq!(rules.answer, GitAnswer::Working);
        for path in [&b"full/a.log"[..], b"full/deep/b.log", b"gone", b"x.log"] {
            assert!(rules.ignores(path), "{path:?}");
        }
        for path in [&b"full"[..], b"full/deep"] {
            assert!(!rules.ignores(path) && rules.is_hollow(path), "{path:?}");
        }
        assert!(rules.tracks_though_ignored(b"kept.log") && !rules.ignores(b"kept.log"));
        // What lies below an ignored directory is told by that directory, and a walk does not enter it.
        let ignores_path = |path: &str| {
            let path = RelPath::new(path).unwrap();
            rules.ignores(path.as_bytes()) || path.ancestors().any(|dir| rules.ignores(dir.as_bytes()))
        };
        assert!(ignores_path("gone/below/x"));
        assert!(!ignores_path("full/new"));
    }

    #[test]
    fn a_directory_that_is_ignored_itself_is_recognised() {
        assert_eq!(parse(b"? ./\0", Vec::new()).answer, GitAnswer::Swallowed);
    }

    #[test]
    fn tracked_paths_are_found_below_their_directory_only() {
        let tracked = [&b"t-x"[..], b"t/a", b"t/b/c", b"tt/d"].map(Box::from).to_vec();
        let rules = Rules { tracked, ..Rules::none() };
        assert_eq!(rules.tracked_below(b"t").collect::<Vec<_>>(), [&b"t/a"[..], b"t/b/c"]);
    }
}
