//! Processes that may take minutes and are of the workspace's choosing: a build in a drill, a checkpoint of the
//! settings. Each runs in a process group of its own, so that it ends with all that it started: at its time limit, or
//! when the user asks to stop.
//!
//! Listing, showing, comparing, validating and rolling back start none.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Interrupt, Observer};
use crate::order;

/// What is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Job<'a> {
    pub(crate) program: &'a OsStr,
    pub(crate) args: &'a [OsString],
    pub(crate) directory: &'a Path,
    /// Variables that are set for it; the others are those of this process.
    pub(crate) env: &'a order::Map<OsString, OsString>,
    /// Variables that it does not get.
    pub(crate) without: &'a [&'a str],
    pub(crate) time_limit: Option<Duration>,
    /// How far a line of standard error says that it got: such a line is told, and not kept.
    pub(crate) progress: fn(&str) -> Option<Event>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether it ended by itself and with exit code 0.
    pub(crate) ok: bool,
    /// For people: `exit code 101`, `killed by signal 9`, `time limit of 60 s reached`.
    pub(crate) how: String,
    /// The first and the last lines that it wrote to standard error.
    pub(crate) stderr: Vec<String>,
}

/// How many lines of standard error are kept from each end, and how many bytes of each.
const KEPT: usize = 100;
const KEPT_BYTES: usize = 2048;
/// A line that is longer is taken in parts: a program may print anything.
const LINE: usize = 256 * 1024;
/// So many lines wait to be taken.
const WAITING: usize = 64;
/// How long a pipe that somebody still holds is listened to when the job has ended: without a word, and in all.
const SILENCE: Duration = Duration::from_secs(1);
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often a running job is looked at.
const PULSE: Duration = Duration::from_millis(20);

impl Job<'_> {
    /// As a person would type it.
    pub(crate) fn shown(&self) -> String {
        let words = std::iter::once(self.program).chain(self.args.iter().map(OsString::as_os_str));
        words.map(crate::quote::shell_word).collect::<Vec<_>>().join(" ")
    }

    /// Runs it. Each line of standard output is handed to `line` as it comes, without its end. `observer` hears
    /// again and again that it is still under way.
    ///
    /// # Errors
    /// `Workspace` where it cannot be started; `Interrupted` where the user asked to stop: it is killed then.
    pub(crate) fn run(
        &self,
        interrupt: &Interrupt,
        observer: &dyn Observer,
        mut line: impl FnMut(&[u8]),
    ) -> Result<Ended> {
        self.run_to_end(interrupt, observer, &mut line)
    }

    /// Compiled once, not once per caller.
    fn run_to_end(
        &self,
        interrupt: &Interrupt,
        observer: &dyn Observer,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<Ended> {
        let failed = |e: std::io::Error| {
            let program = crate::path::show_path(Path::new(self.program));
            Error::new(ErrorKind::Workspace, format!("failed to run `{}`", self.shown()))
                .with_source(e)
                .with_help(format!("is `{program}` there, on PATH, and executable?"))
        };
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let kill = || {
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
        };
        let stdout = child.stdout.take().map(|pipe| -> Box<dyn Read + Send> { Box::new(pipe) });
        let errors = child.stderr.take().map(|pipe| -> Box<dyn Read + Send> { Box::new(pipe) });
        let (lines, errors) = (stream(stdout), stream(errors));
        let started = Instant::now();
        let mut stderr = VecDeque::new();
        let pulse = std::cell::RefCell::new(Event::Progress { done: 0 });
        let mut keep = |text: Vec<u8>| {
            if let Some(got) = std::str::from_utf8(&text).ok().and_then(self.progress) {
                *pulse.borrow_mut() = got;
                return;
            }
            let (head, tail) = text.split_at(text.len().min(KEPT_BYTES / 2));
            let tail = &tail[tail.len().saturating_sub(KEPT_BYTES / 2)..];
            stderr.push_back(String::from_utf8_lossy(&[head, tail].concat()).into_owned());
            if stderr.len() > 2 * KEPT {
                stderr.remove(KEPT);
            }
        };
        let status = loop {
            lines.try_iter().for_each(|l| line(&l));
            errors.try_iter().for_each(&mut keep);
            if let Some(status) = child.try_wait().map_err(failed)? {
                // What it left running in its group may go on for ever, and holds the pipes.
                kill();
                break Some(status);
            }
            if interrupt.is_set() {
                kill();
                let _ = child.wait();
                interrupt.check()?;
            }
            if self.time_limit.is_some_and(|limit| started.elapsed() > limit) {
                kill();
                let _ = child.wait();
                break None;
            }
            observer.on(&pulse.borrow());
            std::thread::sleep(PULSE);
        };
        // What left the group as well is not waited for: it may go on for ever.
        let end = Instant::now() + LAST_WORDS;
        let last_words = |from: &mpsc::Receiver<Vec<u8>>, take: &mut dyn FnMut(Vec<u8>)| loop {
            interrupt.check()?;
            match from.recv_timeout(SILENCE.min(end.saturating_duration_since(Instant::now()))) {
                Ok(text) if Instant::now() < end => take(text),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(false),
                Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => return Ok(true),
            }
        };
        let heard = last_words(&lines, &mut |l| line(&l))?;
        if last_words(&errors, &mut keep)? || heard {
            keep(b"(a process that it started left its group, and still runs)".to_vec());
        }
        Ok(Ended {
            ok: status.is_some_and(|s| s.success()),
            how: match (status, self.time_limit) {
                (Some(status), _) => how(status),
                (None, limit) => format!(
                    "time limit of {} reached",
                    crate::clock::show_duration(limit.unwrap_or_default())
                ),
            },
            stderr: stderr.into(),
        })
    }

    fn command(&self) -> Result<Command> {
        let shell = Shell::new()
            .map_err(|e| Error::new(ErrorKind::Io, "failed to find the current directory").with_source(e))?;
        shell.change_dir(self.directory);
        let (program, args) = (self.program, self.args);
        let mut command: Command = cmd!(shell, "{program} {args...}").into();
        command.current_dir(self.directory).envs(self.env);
        for name in self.without {
            command.env_remove(name);
        }
        Ok(command)
    }
}

fn how(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}

/// Reads a line, or what a terminal would write the next line over. `false` at the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'));
        line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        let taken = end.map_or(bytes.len(), |at| at + 1);
        reader.consume(taken);
        if end.is_some() || line.len() >= LINE {
            return Ok(true);
        }
    }
}

/// Reads lines on a thread of its own, so that a full pipe never blocks the job.
fn stream(from: Option<Box<dyn Read + Send>>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::sync_channel(WAITING);
    if let Some(from) = from {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(from);
            loop {
                let mut line = Vec::new();
                if !read_line(&mut reader, &mut line).is_ok_and(|more| more) {
                    return;
                }
                if send.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        script: &str,
        time_limit: Option<Duration>,
        interrupt: &Interrupt,
    ) -> (Result<Ended>, Vec<String>) {
        let args = ["-c".into(), script.into()];
        let env = order::Map::from([("JOB_SAYS".into(), "hello".into())]);
        let job = Job {
            program: OsStr::new("sh"),
            args: &args,
            directory: Path::new("/"),
            env: &env,
            without: &[],
            time_limit,
            progress: |_| None,
        };
        let mut lines = Vec::new();
        let ended = job
            .run(interrupt, &crate::event::Silent, |l| lines.push(String::from_utf8_lossy(l).into_owned()));
        (ended, lines)
    }

    #[test]
    fn a_jobs_output_exit_code_and_environment_come_through() {
        let (ended, lines) = run("echo $JOB_SAYS; pwd; echo why >&2; exit 3", None, &Interrupt::default());
        let ended = ended.unwrap();
        assert_eq!(
            (ended.ok, ended.how.as_str(), lines),
            (false, "exit code 3", vec!["hello".into(), "/".into()])
        );
        assert_eq!(ended.stderr, ["why"]);
        assert!(run("true", None, &Interrupt::default()).0.unwrap().ok);
    }

    #[test]
    fn more_output_than_a_pipe_holds_blocks_nothing() {
        let (ended, lines) = run(
            "i=0; while [ $i -lt 4000 ]; do echo $i 0123456789012345678901234567890123456789; i=$((i+1)); done",
            None,
            &Interrupt::default(),
        );
        assert!(ended.unwrap().ok);
        assert_eq!(lines.len(), 4000);
    }

    #[test]
    fn at_its_time_limit_a_job_ends_with_all_that_it_started() {
        let limit = Some(Duration::from_millis(100));
        let started = Instant::now();
        let (ended, _) = run("sleep 60 & sleep 60", limit, &Interrupt::default());
        let ended = ended.unwrap();
        assert!(!ended.ok && ended.how.starts_with("time limit of"), "{}", ended.how);
        assert!(started.elapsed() < Duration::from_secs(30), "the first sleep held the pipe");
    }

    #[test]
    fn what_leaves_the_group_and_goes_on_printing_is_not_waited_for() {
        let limit = Some(Duration::from_millis(100));
        let started = Instant::now();
        let script =
            "setsid sh -c 'i=0; while [ $i -lt 200 ]; do echo tick; sleep 0.1; i=$((i+1)); done' & sleep 60";
        let (ended, _) = run(script, limit, &Interrupt::default());
        let ended = ended.unwrap();
        assert!(ended.how.starts_with("time limit of"), "{}", ended.how);
        assert!(started.elapsed() < Duration::from_secs(15), "20 seconds of ticks were listened to");
        assert!(ended.stderr.last().is_some_and(|l| l.contains("still runs")), "{:?}", ended.stderr);
    }

    #[test]
    fn what_a_program_writes_over_is_a_line_of_its_own() {
        let (ended, lines) =
            run("printf 'a\\rb\\nc'; printf '1/2\\r2/2\\rend' >&2", None, &Interrupt::default());
        assert_eq!(
            (lines, ended.unwrap().stderr),
            (vec!["a".into(), "b".into(), "c".into()], vec!["1/2".into(), "2/2".into(), "end".into()])
        );
    }

    #[test]
    fn a_line_without_an_end_is_kept_in_part() {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1";
        let (ended, _) = run(script, None, &Interrupt::default());
        let kept = ended.unwrap().stderr;
        assert!(kept.len() > 5 && kept.iter().all(|l| l.len() <= KEPT_BYTES), "{}", kept.len());
    }

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let args = ["-c".into(), "echo out; exit 3".into(), "it's".into(), "".into()];
        let job = Job {
            program: OsStr::new("sh"),
            args: &args,
            directory: Path::new("/"),
            env: &order::Map::new(),
            without: &[],
            time_limit: None,
            progress: |_| None,
        };
        assert_eq!(job.shown(), "sh -c 'echo out; exit 3' 'it'\\''s' ''");
    }

    #[test]
    fn a_job_stops_when_the_user_asks_to() {
        let interrupt = Interrupt::default();
        interrupt.flag().store(true, std::sync::atomic::Ordering::Relaxed);
        let (ended, _) = run("sleep 60", None, &interrupt);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
