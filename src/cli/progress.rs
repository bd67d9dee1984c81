//! What is shown while an operation runs: cargo's status lines and a bar, on a terminal; notes everywhere.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::term::{CYAN, GREEN, Term, YELLOW, cut, sentences};
use crate::event::{Event, Observer};

/// Nothing is drawn before a step has taken so long.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often the bar is drawn.
const REFRESH: Duration = Duration::from_millis(80);

/// Shows events on standard error.
pub(super) struct Progress {
    term: Term,
    verbose: bool,
    state: Mutex<State>,
}

struct State {
    verb: &'static str,
    what: String,
    total: u64,
    begun: Instant,
    drawn: Option<Instant>,
    on_screen: bool,
}

impl Progress {
    pub(super) fn new(term: Term, verbose: bool) -> Self {
        let state = State {
            verb: "",
            what: String::new(),
            total: 0,
            begun: Instant::now(),
            drawn: None,
            on_screen: false,
        };
        Progress { term, verbose, state: Mutex::new(state) }
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        if let Ok(mut state) = self.state.lock() {
            self.wipe(&mut state);
        }
    }

    fn wipe(&self, state: &mut State) {
        if state.on_screen {
            self.term.put("\r\x1b[K");
            state.on_screen = false;
        }
    }

    fn line(&self, state: &mut State, text: &str) {
        self.wipe(state);
        if !self.term.quiet {
            self.term.say(text);
        }
    }

    fn draw(&self, state: &mut State, text: impl FnOnce(&State, usize) -> String) {
        if !self.term.stderr_terminal || self.term.quiet || state.begun.elapsed() < PATIENCE {
            return;
        }
        if state.drawn.is_some_and(|at| at.elapsed() < REFRESH) {
            return;
        }
        state.drawn = Some(Instant::now());
        state.on_screen = true;
        let verb = self.term.err(CYAN, format!("{:>12}", state.verb));
        let room = self.term.stderr_columns.saturating_sub(14);
        let text = text(state, room);
        self.term.put(&format!("\r{verb} {text}\x1b[K"));
    }
}

/// `[=====>    ] 45% what`, or with a `count` as `123/264`, cut to `room` columns.
fn bar(done: u64, total: u64, count: &str, what: &str, room: usize) -> String {
    let text = match (done.min(total) * 100).checked_div(total) {
        None => what.to_owned(),
        Some(percent) => {
            let width = 25;
            let full = usize::try_from(percent).unwrap_or(0) * width / 100;
            let head = if full < width { ">" } else { "" };
            let bar = format!("{}{head}{}", "=".repeat(full), " ".repeat(width - full - head.len()));
            let percent = format!("{percent:>3}%");
            format!("[{bar}] {} {what}", if count.is_empty() { &percent } else { count })
        }
    };
    cut(&text, room)
}

impl Observer for Progress {
    fn on(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else { return };
        match event {
            Event::Phase { verb, what, total } => {
                self.wipe(&mut state);
                *state = State {
                    verb,
                    what: what.clone(),
                    total: *total,
                    begun: Instant::now(),
                    drawn: None,
                    on_screen: false,
                };
            }
            Event::Progress { done } => {
                self.draw(&mut state, |state, room| bar(*done, state.total, "", &state.what, room));
            }
            Event::Units { done, total, what } => {
                let text = |state: &State, room| {
                    let what = if what.is_empty() { &state.what } else { what };
                    bar(*done, *total, &format!("{done}/{total}"), what, room)
                };
                self.draw(&mut state, text);
            }
            Event::File { action, path, .. } if self.verbose => {
                let line = format!("{} {path}", self.term.err(GREEN, format!("{action:>12}")));
                self.line(&mut state, &line);
            }
            Event::Note { text } => {
                let line = format!("{} {}", self.term.err(YELLOW, "note:"), sentences(6, text));
                self.line(&mut state, &line);
            }
            Event::Waiting { holder } => {
                let verb = self.term.err(CYAN, format!("{:>12}", "Blocking"));
                self.line(&mut state, &format!("{verb} waiting for {holder}"));
            }
            Event::File { .. } | Event::RestorePoint { .. } => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::bar;
    use crate::cli::term::text_columns;

    #[test]
    fn the_bar_fits_and_never_overflows() {
        assert_eq!(bar(5, 10, "", "files", 80), "[============>            ]  50% files");
        assert!(bar(20, 10, "", "files", 80).contains("100%"));
        assert_eq!(bar(0, 0, "", "what", 80), "what");
        assert_eq!(text_columns(&bar(1, 10, "", "files", 10)), 10);
        assert_eq!(bar(123, 246, "123/246", "syn", 80), "[============>            ] 123/246 syn");
        assert!(text_columns(&bar(0, 0, "", "漢字漢字", 5)) <= 5);
    }
}
