//! Locks on files.

use std::fs::{File, TryLockError};

/// A file that carries a lock. The lock is given back when this is dropped, and by the kernel when the process dies.
///
/// Closing the file does not give it back: the lock belongs to the open file description, and a child that another
/// thread has forked and that has not executed its program yet holds that description too. So it is unlocked.
#[derive(Debug)]
pub struct LockFile(File);

impl LockFile {
    pub(super) fn new(file: File) -> Self {
        LockFile(file)
    }

    /// Takes the lock for this process alone, if nobody holds it.
    ///
    /// # Errors
    /// `WouldBlock` if another process or another open of the file holds it.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.0.try_lock()
    }

    /// Takes the lock together with others that share it, if nobody holds it alone.
    ///
    /// # Errors
    /// As [`LockFile::try_lock`].
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.0.try_lock_shared()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // What cannot be unlocked is given back by the close that follows.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_dropped_is_free_although_a_child_still_has_the_file_open() {
        let path = std::env::temp_dir().join(format!("backstop-lock-{}", std::process::id()));
        let open = || crate::fsx::Fs::real().lock_file(&path).unwrap();
        for shared in [false, true] {
            let held = open();
            if shared { held.try_lock_shared() } else { held.try_lock() }.unwrap();
            // What a forked child has: the same open file description under another descriptor.
            let childs = held.0.try_clone().unwrap();
            assert!(matches!(open().try_lock(), Err(TryLockError::WouldBlock)), "shared: {shared}");
            drop(held);
            open().try_lock().unwrap_or_else(|e| panic!("shared: {shared}: {e}"));
            drop(childs);
        }
        crate::fsx::Fs::real().remove_file(&path).unwrap();
    }
}
