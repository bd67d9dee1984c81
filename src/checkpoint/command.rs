//! A checkpoint of the settings: a command of the workspace, run without a shell.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::Duration;

use super::Surroundings;
use crate::check::Check;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::order;
use crate::path::{show_path, show_text};
use crate::settings::CheckpointSetting;

/// Runs a command of the settings: it has passed where it ends with exit code 0.
pub(super) fn run(setting: &CheckpointSetting, at: &Surroundings<'_>) -> Result<Check> {
    let [program, args @ ..] = setting.run.as_slice() else {
        return Err(Error::new(ErrorKind::Settings, format!("checkpoint `{}` runs nothing", setting.id)));
    };
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let root = &at.workspace.root;
    let directory = setting.cwd.as_ref().map_or_else(|| root.clone(), |dir| root.join(dir));
    if !directory.is_dir() {
        let shown = show_path(&directory);
        return Err(Error::new(ErrorKind::Settings, format!("`cwd` names `{shown}`, which is no directory"))
            .with_help(format!("correct checkpoint {} in the settings", setting.id)));
    }
    let env: order::Map<OsString, OsString> =
        order::gather(setting.env.iter().map(|(key, value)| (key.into(), value.into())));
    // `./tool` is meant from where it runs.
    let program = match program.contains('/') {
        true => directory.join(program).into_os_string(),
        false => program.into(),
    };
    let job = Job {
        program: &program,
        args: &args,
        directory: &directory,
        env: &env,
        without: &[],
        time_limit: Some(Duration::from_secs(setting.timeout.unwrap_or(TIME_LIMIT))),
        progress: |_| None,
    };
    let mut checked = Check::counted(1, "commands");
    let shown = Job { program: setting.run[0].as_ref(), ..job.clone() }.shown();
    at.context.note(format!("{} runs `{shown}`", setting.id));
    let mut last_lines = VecDeque::new();
    let ended = job.run(at.context.interrupt, at.context.observer, |line| {
        last_lines.push_back(String::from_utf8_lossy(&line[..line.len().min(SAID_BYTES)]).into_owned());
        if last_lines.len() > SAID {
            last_lines.pop_front();
        }
    })?;
    if !ended.ok {
        checked.find(&*shown, ended.how);
        let words = |lines: &mut dyn Iterator<Item = String>| -> Vec<String> {
            let lines = lines.map(|l| l.trim_end().chars().take(SAID_BYTES).collect::<String>());
            lines.filter(|l| !l.is_empty()).map(|l| show_text(&l)).collect()
        };
        let errors = words(&mut ended.stderr.into_iter());
        let said = if errors.is_empty() { words(&mut last_lines.into_iter()) } else { errors };
        checked.notes.extend_from_slice(&said[said.len().saturating_sub(SAID)..]);
        let place = setting
            .cwd
            .as_ref()
            .map_or("at the workspace root".to_owned(), |dir| format!("in `{}`", show_path(dir.as_ref())));
        checked.remedy = Some(format!("run `{shown}` yourself {place}, and fix what it complains of"));
    }
    checked.command = Some(shown);
    Ok(checked)
}

/// Seconds that a command of the settings may take where it says nothing else.
const TIME_LIMIT: u64 = 600;
/// How many of a failed command's last lines are shown.
const SAID: usize = 10;
/// How much of a line is shown.
const SAID_BYTES: usize = 400;
