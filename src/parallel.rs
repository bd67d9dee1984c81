//! Doing the same to many things at once, on a few threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::Result;

/// How many threads are worth it: reading and compressing bound each of them.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16)
}

/// Calls `work` for each index below `count`, several at a time, in no order. The first error stops the rest.
pub(crate) fn each(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    each_of(count, &work)
}

/// The threads are compiled once, not once per caller.
fn each_of(count: usize, work: &(dyn Fn(usize) -> Result<()> + Sync)) -> Result<()> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first = Mutex::new(None);
    // A chunk at a time, so that neighbours, which often share a directory, stay on one thread.
    let chunk = (count / (threads() * 8)).clamp(1, 64);
    std::thread::scope(|scope| {
        for _ in 0..threads().min(count) {
            scope.spawn(|| {
                loop {
                    let start = next.fetch_add(chunk, Ordering::Relaxed);
                    if start >= count || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    for index in start..(start + chunk).min(count) {
                        if let Err(e) = work(index) {
                            stop.store(true, Ordering::Relaxed);
                            if let Ok(mut first) = first.lock() {
                                first.get_or_insert(e);
                            }
                            return;
                        }
                    }
                }
            });
        }
    });
    match first.into_inner() {
        Ok(Some(e)) => Err(e),
        _ => Ok(()),
    }
}

/// Calls `work` for each index below `count`, several at a time, and gives the results in order.
pub(crate) fn map<T: Send>(count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let slots: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    each(count, |i| {
        let value = work(i)?;
        if let Ok(mut slot) = slots[i].lock() {
            *slot = Some(value);
        }
        Ok(())
    })?;
    Ok(slots.into_iter().filter_map(|s| s.into_inner().ok().flatten()).collect())
}
