//! A clock that tests set: each look at it is a little later than the one before.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use backstop::clock::Clock;

/// Starts at 2026-11-23 05:40:00 UTC; each call is three milliseconds later, unless it is told to stand.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<(SystemTime, Duration)>);

impl TestClock {
    pub(crate) fn new() -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_412_400);
        TestClock(Mutex::new((start, Duration::from_millis(3))))
    }

    /// The present, without a step.
    pub(crate) fn peek(&self) -> SystemTime {
        self.0.lock().unwrap().0
    }

    pub(crate) fn set(&self, now: SystemTime) {
        self.0.lock().unwrap().0 = now;
    }

    /// From now on each call gives the same instant.
    pub(crate) fn stand_still(&self) {
        self.0.lock().unwrap().1 = Duration::ZERO;
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        let mut state = self.0.lock().unwrap();
        let step = state.1;
        state.0 += step;
        state.0
    }
}
