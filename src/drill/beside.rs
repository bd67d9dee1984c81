//! What the workspace has beside the restore point, put into the copy: whether a build fails for want of it is only
//! known when it passes with it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::error::Result;
use crate::event::Context;
use crate::fsx::Fs;
use crate::manifest::{FileKind, Manifest, Mode, shown};
use crate::path::resolved;
use crate::select::SkipReason;
use crate::select::git::Rules;
use crate::select::walk::Walk;
use crate::store::Store;

/// More is not copied for a guess.
const FILES: usize = 5_000;
const BYTES: u64 = 256 * 1024 * 1024;

/// Copies every file that stands in the workspace and not in the copy, target directories and what is version
/// control's left out. Gives them as they are shown; `None` where they are too many.
pub(super) fn add(
    store: &Store,
    manifest: &Manifest,
    place: &Place,
    context: &Context<'_>,
) -> Result<Option<Vec<String>>> {
    let fs = store.fs();
    let mut skip: Vec<(PathBuf, SkipReason)> = vec![(store.layout().dir().to_path_buf(), SkipReason::Store)];
    skip.extend(manifest.target_directories_of(store.root()).map(|dir| (dir, SkipReason::TargetDirectory)));
    let (mut wanted, mut bytes) = (Vec::new(), 0);
    for root in place.roots() {
        let walk = Walk::new(&root.original, &skip);
        for found in walk.run(None, Rules::none()).found {
            let (from, to) = (root.original.join(&found.path), root.copy.join(&found.path));
            let file = found.kind == Ok(FileKind::File);
            // A link may lead back to the workspace, and what is neither holds no content.
            if !file || manifest.find(&root.name, &found.path).is_some() || stands(&to) {
                continue;
            }
            bytes += found.meta.len();
            wanted.push((from, to, shown(&root.name, &found.path)));
            if wanted.len() > FILES || bytes > BYTES {
                return Ok(None);
            }
        }
    }
    let mut added = Vec::new();
    for (from, to, shown) in wanted {
        context.interrupt.check()?;
        // What cannot be read, or stands in a directory that forbids it, the build does not get.
        if copy(fs, &from, &to).is_ok() {
            added.push(shown);
        }
    }
    Ok(Some(added))
}

fn copy(fs: &Fs, from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = File::open(from)?;
    let parent = to.parent().unwrap_or(to);
    // Nothing is written through a link of the copy.
    if resolved(parent) != parent {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    fs.create_dir_all(parent, 0o700)?;
    let mut file = fs.create_file(to)?;
    std::io::copy(&mut source, &mut file)?;
    file.set_mode(Mode::new(source.metadata()?.mode()))
}

fn stands(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
