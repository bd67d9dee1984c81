//! `cargo xtask bench WORKSPACE`: what backstop costs on a real git checkout beside what people use today, in one
//! run: medians and ratios, since a machine's speed drifts and the ratio of neighbours does not. The checkout is
//! copied first and stays as it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::say;

const ROUNDS: usize = 5;

/// Wall and CPU seconds of one command.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

struct Bench {
    shell: Shell,
    workspace: PathBuf,
    scratch: PathBuf,
    rows: Vec<(&'static str, Vec<Cost>)>,
}

pub(crate) fn run(workspace: &str) -> Result<()> {
    let shell = Shell::new()?;
    let scratch = shell.create_temp_dir()?;
    let copy = scratch.path().join("workspace");
    cmd!(shell, "git clone --quiet --no-hardlinks {workspace} {copy}").quiet().run()?;
    shell.change_dir(&copy);
    let mut bench = Bench { shell, workspace: copy, scratch: scratch.path().into(), rows: Vec::new() };
    for round in 0..=ROUNDS {
        bench.round(round)?;
    }
    bench.print();
    Ok(())
}

impl Bench {
    /// Times a shell command with bash, which knows the CPU time of all that it ran. The first round warms up.
    fn time(&mut self, round: usize, name: &'static str, command: &str) -> Result<()> {
        let timed = format!("TIMEFORMAT='%R %U %S'; time {{ ({command}) >/dev/null 2>&1; }}");
        let output = cmd!(self.shell, "bash -c {timed}").quiet().ignore_status().output()?;
        ensure!(output.status.success(), "`{command}` failed");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let figures: Vec<f64> = text.split_whitespace().filter_map(|f| f.parse().ok()).collect();
        let [wall, user, sys] = figures[..] else { anyhow::bail!("bash printed no times: {text}") };
        if round > 0 {
            let cost = Cost { wall, cpu: user + sys };
            match self.rows.iter_mut().find(|(n, _)| *n == name) {
                Some((_, costs)) => costs.push(cost),
                None => self.rows.push((name, vec![cost])),
            }
        }
        Ok(())
    }

    /// Every file and directory that is written is new: nothing is deleted between timed runs.
    fn round(&mut self, round: usize) -> Result<()> {
        let exe = std::env::current_exe().context("finding this executable")?;
        let (exe, scratch) = (quoted(&exe), self.scratch.clone());
        let store = quoted(&scratch.join(format!("store_{round}")));
        let place = |name: &str| quoted(&scratch.join(format!("{name}_{round}")));
        self.time(round, "backup, first", &format!("{exe} backup --store {store}"))?;
        self.time(round, "backup, unchanged", &format!("{exe} backup --store {store}"))?;
        self.time(round, "validate", &format!("{exe} validate --store {store}"))?;
        self.edit()?;
        self.time(round, "git stash create", "git stash create")?;
        self.time(round, "cp -a", &format!("cp -a . {}", place("cp")))?;
        self.time(round, "tar | gzip", &format!("tar -c --exclude=./.git . | gzip > {}", place("tar")))?;
        self.time(round, "rollback", &format!("{exe} rollback -t latest -f --store {store}"))?;
        self.time(round, "rollback --undo", &format!("{exe} rollback --undo -f --store {store}"))?;
        // For the next round, untimed.
        cmd!(self.shell, "git checkout --quiet -- .").quiet().run()?;
        Ok(())
    }

    /// Changes every twentieth source file.
    fn edit(&self) -> Result<()> {
        let list = cmd!(self.shell, "git ls-files *.rs").quiet().read()?;
        for path in list.lines().step_by(20) {
            let path = self.workspace.join(path);
            let text = self.shell.read_file(&path)?;
            self.shell.write_file(&path, text + "\n// changed\n")?;
        }
        Ok(())
    }

    fn print(&self) {
        let peers = ["git stash create", "cp -a", "tar | gzip"];
        say(&format!("{:<20} {:>8} {:>8}   wall and CPU as a multiple of …", "", "wall s", "CPU s"));
        say(&format!("{:<20} {:>8} {:>8}   {}", "", "", "", peers.map(|p| format!("{p:>17}")).join(" ")));
        for (name, costs) in &self.rows {
            let mut line =
                format!("{name:<20} {:>8.3} {:>8.3}  ", median(costs, |c| c.wall), median(costs, |c| c.cpu));
            for peer in peers {
                let Some((_, other)) = self.rows.iter().find(|(n, _)| *n == peer) else { continue };
                let ratio =
                    |figure: fn(&Cost) -> f64| median(costs, figure) / median(other, figure).max(0.001);
                line += &format!(" {:>8.2} {:>8.2}", ratio(|c| c.wall), ratio(|c| c.cpu));
            }
            say(&line);
        }
    }
}

fn median(costs: &[Cost], figure: impl Fn(&Cost) -> f64) -> f64 {
    let mut figures: Vec<f64> = costs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}
