//! Probes: they see every mutating call, and let it pass, fail it, or cut the process off at it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backstop::fsx::{Op, Probe, Verdict};

/// Records what is called, one line a call.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Probe for Recorder {
    fn before(&self, op: &Op<'_>) -> Verdict {
        self.0.lock().unwrap().push(format!("{op:?}"));
        Verdict::Proceed
    }
}

/// Lets some calls through and refuses every later one for ever: a process that was killed there. The first
/// write that it refuses still puts a part of its bytes down.
#[derive(Debug)]
pub(crate) struct Cutter {
    left: AtomicU64,
    refused: AtomicU64,
    torn: bool,
    last: Mutex<String>,
}

impl Cutter {
    pub(crate) fn after(calls: u64) -> Self {
        Cutter {
            left: AtomicU64::new(calls),
            refused: AtomicU64::new(0),
            torn: calls % 2 == 1,
            last: Mutex::default(),
        }
    }

    /// How many calls it refused; none means that the run came to its end.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// The first call that it refused.
    pub(crate) fn at(&self) -> String {
        self.last.lock().unwrap().clone()
    }
}

impl Probe for Cutter {
    fn before(&self, op: &Op<'_>) -> Verdict {
        let pass = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if pass {
            return Verdict::Proceed;
        }
        let first = self.refused.fetch_add(1, Ordering::SeqCst) == 0;
        if first {
            *self.last.lock().unwrap() = format!("{op:?}");
        }
        let error = io::Error::other("interrupted");
        match op {
            Op::Write { bytes, .. } if first && self.torn => Verdict::Short(bytes / 2, error),
            _ => Verdict::Fail(error),
        }
    }
}

/// Fails one call with an error of the system; the process goes on.
#[derive(Debug)]
pub(crate) struct Failer {
    at: u64,
    seen: AtomicU64,
    errno: i32,
    failed: Mutex<Option<String>>,
}

impl Failer {
    pub(crate) fn at(call: u64, errno: i32) -> Self {
        Failer { at: call, seen: AtomicU64::new(0), errno, failed: Mutex::new(None) }
    }

    /// The call that failed.
    pub(crate) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap().clone()
    }
}

impl Probe for Failer {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if self.seen.fetch_add(1, Ordering::SeqCst) != self.at {
            return Verdict::Proceed;
        }
        *self.failed.lock().unwrap() = Some(format!("{op:?}"));
        let error = io::Error::from_raw_os_error(self.errno);
        match op {
            Op::Write { bytes, .. } => Verdict::Short(bytes / 3, error),
            _ => Verdict::Fail(error),
        }
    }
}

/// Makes renames into and out of one directory fail as they do between file systems, and asks another probe about
/// every other call. So what two devices need is tested in memory.
pub(crate) struct Apart {
    pub(crate) dir: PathBuf,
    pub(crate) inner: Option<Arc<dyn Probe>>,
}

impl Probe for Apart {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if let Op::Rename { from, to } = op
            && from.starts_with(&self.dir) != to.starts_with(&self.dir)
        {
            return Verdict::Fail(rustix::io::Errno::XDEV.into());
        }
        self.inner.as_ref().map_or(Verdict::Proceed, |inner| inner.before(op))
    }
}

/// Does something of its own before calls that it picks: a colleague, an editor, a build that runs meanwhile.
pub(crate) struct Meanwhile<F>(pub(crate) F);

impl<F: Fn(&Op<'_>) + Send + Sync> Probe for Meanwhile<F> {
    fn before(&self, op: &Op<'_>) -> Verdict {
        (self.0)(op);
        Verdict::Proceed
    }
}
