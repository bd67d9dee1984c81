//! Whether what a store keeps of its rollbacks is whole: the journal of one that is interrupted, and of each that ended
//! the journal and what it displaced. Nothing else reads them before somebody needs them.

use super::journal::Journal;
use super::undo::{displaced, ended, lost, rollbacks};
use crate::check::{Check, timed};
use crate::error::Result;
use crate::event::Context;
use crate::manifest::{Id, stored_path};
use crate::path::show_path;
use crate::store::Store;

/// Reads every journal and every displaced file. `None` where no rollback was ever made.
///
/// # Errors
/// `Interrupted`, or `Io` where the store's own directory cannot be read.
pub fn check_kept(store: &Store, context: &Context<'_>) -> Result<Option<Check>> {
    let (live, ids) = (store.layout().journal(), rollbacks(store)?);
    let open = live.symlink_metadata().is_ok();
    if !open && ids.is_empty() {
        return Ok(None);
    }
    let check = timed("ROLLBACKS", "", context, || {
        let mut check = Check::counted(u64::from(open), "records");
        let mut remedies = Vec::new();
        if open && let Err(e) = Journal::read(&live) {
            check.find(show_path(&live), e.to_string());
            remedies.push(
                "`scripts/rollback.sh -t latest -f` in the store rolls back and files a damaged journal away",
            );
        }
        let found = check.findings.len();
        for id in &ids {
            one(store, id, context, &mut check)?;
        }
        if check.findings.len() > found {
            remedies.push(
                "what a rollback displaced is in its restore point of the present too: \
                 `list` shows those as pre_rollback, `rollback -t ID` goes back to one",
            );
        }
        Ok(check.with_remedy(remedies.join("; ")))
    })?;
    Ok(Some(check))
}

fn one(store: &Store, id: &Id, context: &Context<'_>, check: &mut Check) -> Result<()> {
    check.checked += 1;
    let journal = match ended(store, id) {
        Ok(journal) => journal,
        Err(e) => {
            check.find(show_path(&store.layout().closed_journal(id)), e.to_string());
            return Ok(());
        }
    };
    let dir = store.layout().displaced(id);
    for action in journal.actions.iter().filter(|action| action.displaces()) {
        context.interrupt.check()?;
        check.checked += 1;
        let path = show_path(&dir.join(stored_path(&action.root, &action.path)));
        match displaced(store, id, action) {
            Ok(found) => lost(action, found.as_ref()).into_iter().for_each(|why| check.find(&path, why)),
            Err(e) => check.find(&path, e.to_string()),
        }
    }
    Ok(())
}
