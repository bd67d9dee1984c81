//! The texts that people read have none of the words of `tests/voice.txt`.

use std::fs;
use std::path::Path;

use crate::architecture::rust_files;
use crate::cli::backstop;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words of the list.
fn unwanted() -> Vec<String> {
    let list = fs::read_to_string(repository().join("tests/voice.txt")).unwrap();
    list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_lowercase).collect()
}

/// Those of `words` that a text has, each with the line around it.
fn found(text: &str, words: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let is_edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    for line in text.lines() {
        let lower = line.to_lowercase();
        for word in words {
            let has = lower.match_indices(word).any(|(i, _)| {
                is_edge(lower[..i].chars().next_back()) && is_edge(lower[i + word.len()..].chars().next())
            });
            if has {
                out.push(format!("`{word}` in: {}", line.trim()));
            }
        }
    }
    out
}

/// The string literals of a source, each with its line breaks as spaces; comments and characters are passed over.
fn strings(source: &str) -> Vec<String> {
    let (mut out, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        rest = &rest[at..];
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest = &rest[rest[1..].find('\'').unwrap() + 2..];
        } else if let Some(text) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = text.char_indices().find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            let end = end.map_or(text.len(), |(i, _)| i);
            out.push(text[..end].replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" "));
            rest = text.get(end + 1..).unwrap_or_default();
        } else {
            rest = &rest[1..];
        }
    }
    out
}

#[test]
fn texts_for_people_are_plain() {
    let words = unwanted();
    assert!(words.len() >= 10);
    let mut bad = Vec::new();
    for page in [
        "README.md",
        "src/store/FORMAT.md",
        "src/build_script/GUARD.md",
        "src/rollback/rollback.sh",
        "src/rollback/rollback.py",
    ] {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        bad.extend(found(&text, &words).into_iter().map(|line| format!("{page}: {line}")));
    }
    let mut read = 0;
    for file in rust_files(&repository().join("src")) {
        for text in strings(&fs::read_to_string(&file).unwrap()) {
            read += 1;
            bad.extend(found(&text, &words).into_iter().map(|line| format!("{}: {line}", file.display())));
        }
    }
    assert!(read > 3000, "{read} strings");
    for (name, _) in crate::cli::help::commands() {
        let help = backstop("/").args([name.as_str(), "--help"]).ends(0).out;
        bad.extend(found(&help, &words).into_iter().map(|line| format!("{name} --help: {line}")));
    }
    assert!(bad.is_empty(), "say it otherwise:\n{}", bad.join("\n"));
}

#[test]
fn an_unwanted_word_is_found_as_a_whole_word_and_in_a_string_alone() {
    let words = ["mend".to_owned(), "cut off".to_owned()];
    assert_eq!(found("Mend it; an amendment was cut off", &words).len(), 2);
    assert_eq!(found("a recommendation, a cut_off", &words), Vec::<String>::new());
    let source = "// \"comment\nlet c = '\"'; say(\"one \\\"two\\\" \\\n   three\", \"four\");";
    assert_eq!(strings(source), ["one \\\"two\\\" three", "four"]);
}
