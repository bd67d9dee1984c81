//! Working trees that have a repository of their own: by what they are known, and what in them is their version control
//! system's.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::manifest::Repository;

/// What version control systems keep their state in. `.git` may be a file.
const DIRECTORIES: [&str; 8] = [".git", ".jj", ".hg", ".sl", ".svn", ".bzr", ".pijul", "_darcs"];
/// The same of Fossil, in files.
const FILES: [&str; 2] = [".fslckout", "_FOSSIL_"];
/// No file that says where a repository lies is longer.
const GIT_FILE_LIMIT: u64 = 64 * 1024;

/// Whether a path is a version control system's own. Case does not count: some file systems know none.
pub(crate) fn is_version_control(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    DIRECTORIES.iter().any(|dir| name.eq_ignore_ascii_case(dir))
        || FILES.iter().any(|file| name == *file)
        // People name modules so, too.
        || (name == "CVS" && path.join("Entries").is_file())
}

/// The repository of the working tree whose top a directory is; `None` where it is no such top.
pub(crate) fn repository_of(directory: &Path) -> Option<Repository> {
    let git = directory.join(".git");
    match git.symlink_metadata() {
        Ok(meta) if meta.is_file() => {
            let mut text = String::new();
            let read = File::open(&git).and_then(|file| file.take(GIT_FILE_LIMIT).read_to_string(&mut text));
            let at = text.strip_prefix("gitdir:").filter(|_| read.is_ok());
            let at = at.map_or_else(|| git.clone(), |at| directory.join(at.trim()));
            // Where the path is another machine's (a container's), its name still tells what it was.
            let linked = at.parent().and_then(Path::file_name).is_some_and(|above| above == "worktrees");
            return Some(match (linked || at.join("commondir").exists(), at.join("HEAD").exists()) {
                (true, _) => Repository::Shared,
                (false, true) => Repository::Elsewhere,
                (false, false) => Repository::Gone,
            });
        }
        // An empty directory of that name, as the tests of other programs make them, is none.
        Ok(_) if git.join("HEAD").symlink_metadata().is_ok() => return Some(Repository::Own),
        _ => {}
    }
    let has = |name: &&str| directory.join(name).symlink_metadata().is_ok();
    if [".jj/repo", ".hg/requires", ".sl/requires"].iter().any(has) {
        return Some(Repository::Shared);
    }
    let holds =
        |name: &&str| std::fs::read_dir(directory.join(name)).is_ok_and(|mut dir| dir.next().is_some());
    // CVS and old Subversion keep something in every directory of a working tree: the top is the one without it above.
    let above = directory.parent().unwrap_or(directory);
    let top_of = |name: &str| holds(&name) && std::fs::symlink_metadata(above.join(name)).is_err();
    let other = FILES.iter().any(has)
        || [".bzr", ".pijul", "_darcs"].iter().any(holds)
        || has(&".svn/wc.db")
        || top_of(".svn")
        || (has(&"CVS/Entries") && top_of("CVS"));
    other.then_some(Repository::Own)
}
