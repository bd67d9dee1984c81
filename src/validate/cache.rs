//! What several validations share.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use crate::digest::Digest;
use crate::error::{IoContext, Result};
use crate::order;

/// What several validations share: digests of files by device and inode, so that a file that many restore points
/// share is hashed once; and which program it is that asks.
#[derive(Debug, Default)]
pub struct InodeCache {
    pub(super) digests: Mutex<HashMap<(u64, u64), Option<Digest>>>,
    pub(super) running: Option<Digest>,
    /// Scripts that a dry run has shown to work: what each restore point has for them is compared byte for byte.
    pub(super) proven: Mutex<order::Set<&'static str>>,
}

impl InodeCache {
    /// For the program at `running`: a copy of it in the store is proven by a dry run, another program is not run.
    ///
    /// # Errors
    /// Kind `Io` where it cannot be read.
    pub fn of_program(running: &Path) -> Result<Self> {
        let bytes = std::fs::read(running).during("read", running)?;
        Ok(InodeCache { running: Some(Digest::of(&bytes)), ..InodeCache::default() })
    }

    pub(super) fn is_proven(&self, script: &str) -> bool {
        self.proven.lock().is_ok_and(|proven| proven.contains(script))
    }

    pub(super) fn prove(&self, script: &'static str) {
        if let Ok(mut proven) = self.proven.lock() {
            proven.insert(script);
        }
    }
}
