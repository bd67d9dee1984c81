//! The README's console blocks are run, one after the other, in a small workspace. `...` stands for any lines, as in
//! snapbox, and ids, digests, times and paths for any others.

use std::path::Path;
use std::process::Command;

use snapbox::assert_data_eq;

use crate::cli::program;
use crate::support::World;

/// One command of the README and what it is to print.
struct Example {
    line: usize,
    command: String,
    output: String,
}

/// The commands in the blocks that are marked `console`.
fn examples(text: &str) -> Vec<Example> {
    let mut out: Vec<Example> = Vec::new();
    let mut inside = false;
    for (i, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), out.last_mut()) {
                (Some(command), _) => {
                    out.push(Example { line: i + 1, command: command.into(), output: String::new() });
                }
                (None, Some(example)) => {
                    example.output.push_str(line);
                    example.output.push('\n');
                }
                (None, None) => panic!("README line {}: output before any command", i + 1),
            },
            _ => {}
        }
    }
    out
}

/// A line with `[..]` in place of what no two runs have alike.
fn pattern(line: &str) -> String {
    let digits = |text: &str| text.len() == 15 && text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let is_id = |word: &str| (0..word.len()).any(|i| word.get(i..i + 15).is_some_and(digits));
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let is_time = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
    let varies = |word: &&str| {
        is_id(word)
            || is_digest(word)
            || is_time(word)
            || word.starts_with("/home/you/")
            || word.ends_with("/backstop")
    };
    let words: Vec<&str> = line.split(' ').map(|word| if varies(&word) { "[..]" } else { word }).collect();
    words.join(" ") + "\n"
}

/// What the job runs of backstop, and of cargo.
fn job_steps(text: &str) -> Vec<String> {
    let job = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let steps = job.lines().filter_map(|line| line.trim().strip_prefix("- run: "));
    steps.map(|step| step.split("  #").next().unwrap_or(step).trim().to_owned()).collect()
}

#[test]
fn the_readmes_job_passes_on_a_workspace_in_order() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let steps = job_steps(&std::fs::read_to_string(readme).unwrap());
    let world = World::new("virtual");
    let cargo = crate::support::cargo();
    let cargo = cargo.to_str().unwrap();
    program(cargo, &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    assert_eq!(steps.len(), 2, "{steps:?}");
    for step in steps {
        let step = step.replace("cargo xtask", env!("CARGO_BIN_EXE_backstop")).replacen(
            "cargo ",
            &format!("{cargo} "),
            1,
        );
        let run = program("sh", &world.root)
            .args(["-ec", &step])
            .env("GITHUB_SHA", "0123abcd")
            .env("RUNNER_TEMP", world.temp.path())
            .env("XDG_CACHE_HOME", world.temp.path().join("cache"))
            .ends(0);
        eprintln!("{step}\n{}", run.out);
    }
    assert!(world.temp.path().join("restore-points/store.json").exists());
}

fn present(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

#[test]
fn the_readmes_examples_print_what_it_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let examples = examples(&std::fs::read_to_string(readme).unwrap());
    assert!(examples.len() >= 10, "the README lost its examples: {}", examples.len());
    let world = World::new("demo");
    let root = world.temp.path().join("demo");
    std::fs::rename(&world.root, &root).unwrap();
    for example in examples {
        let needs = ["tar", "sha256sum", "diff"];
        if let Some(missing) = needs.iter().find(|p| example.command.contains(**p) && !present(p)) {
            eprintln!("skipped: README line {}: there is no `{missing}` here", example.line);
            continue;
        }
        let command = example.command.replace("cargo xtask", env!("CARGO_BIN_EXE_backstop"));
        let output = Command::new("sh").arg("-c").arg(&command).current_dir(&root).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "README line {}: {}\n{stderr}", example.line, example.command);
        let printed = String::from_utf8(output.stdout).unwrap();
        eprintln!("README line {}: {}", example.line, example.command);
        assert_data_eq!(printed, example.output.lines().map(pattern).collect::<String>());
    }
}
