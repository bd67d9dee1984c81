//! Progress moves by bytes, also within one large file, and a build's by the units that cargo counts.

use std::sync::Mutex;

use backstop::backup::{self, BackupOutcome};
use backstop::event::{Context, Event, Observer};
use backstop::rollback::{self, RollbackOptions};
use backstop::store::Wait;
use backstop::validate::{self, InodeCache};

use crate::support::World;
use crate::support::edit::write;
use crate::support::world::options;

/// Each phase with a total: its verb, the total, and every count that was told in it.
#[derive(Default)]
struct Seen(Mutex<Vec<(String, u64, Vec<u64>)>>);

impl Observer for Seen {
    fn on(&self, event: &Event) {
        let mut seen = self.0.lock().unwrap();
        match event {
            Event::Phase { verb, what, total } => seen.push((format!("{verb} {what}"), *total, Vec::new())),
            Event::Progress { done } => {
                if let Some((_, _, counts)) = seen.last_mut() {
                    counts.push(*done);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn progress_moves_within_one_large_file_whatever_is_done() {
    let world = World::new("single");
    let large = 4_000_000_u64;
    write(world.at("src/large.bin"), vec![7; usize::try_from(large).unwrap()]);
    let seen = Seen::default();
    let context = Context { observer: &seen, ..world.context() };
    let (set, store) = (world.set(), world.store());
    let lock = store.lock(Wait::Yes, context.interrupt, context.observer).unwrap();
    let made = backup::backup(&lock, &set, &options("it"), &context).unwrap();
    assert!(matches!(made, BackupOutcome::Made(_)));
    drop(lock);
    let listed = world.latest();
    validate::validate(&store, &listed, &InodeCache::default(), &context).unwrap();
    let copy = world.temp.path().join("copy");
    rollback::restore_to(&store, &listed, &copy, &RollbackOptions::default(), &context).unwrap();
    write(world.at("src/large.bin"), vec![8; usize::try_from(large).unwrap()]);
    let plan = rollback::plan(&store, &listed, &RollbackOptions::default(), &context).unwrap();
    let lock = store.lock(Wait::Yes, context.interrupt, context.observer).unwrap();
    rollback::apply(&lock, plan, &context).unwrap();
    let mut verbs = Vec::new();
    for (verb, total, counts) in seen.0.into_inner().unwrap() {
        let most = counts.iter().copied().max().unwrap_or(0);
        // What is linked or not read again is done at once.
        if total < large || counts.len() < 20 {
            continue;
        }
        assert!(most >= large && most <= total, "{verb}: {most} of {total}");
        verbs.push(verb.split_whitespace().next().unwrap().to_owned());
    }
    verbs.dedup();
    for verb in ["Copying", "Verifying", "Checking", "Restoring", "Staging", "Comparing"] {
        assert!(verbs.iter().any(|v| v == verb), "nothing moves while {verb}: {verbs:?}");
    }
}
