use super::*;

fn ended(ok: bool, stderr: &[&str]) -> Ended {
    Ended { ok, how: "exit code 101".into(), stderr: stderr.iter().map(|l| (*l).to_owned()).collect() }
}

#[test]
fn errors_are_found_with_their_places_and_fresh_units_are_told_from_compiled_ones() {
    let mut answer = Answer::default();
    for line in [
        r#"{"reason":"compiler-artifact","package_id":"x","fresh":true}"#,
        r#"{"reason":"compiler-artifact","package_id":"x","fresh":false}"#,
        r#"{"reason":"compiler-message","message":{"level":"warning","message":"unused","spans":[]}}"#,
        r#"{"reason":"compiler-message","message":{"level":"error","message":"mismatched types","spans":[
            {"file_name":"a.rs","line_start":1,"is_primary":false},
            {"file_name":"src/b.rs","line_start":7,"is_primary":true}]}}"#,
        r#"{"reason":"compiler-message","message":{"level":"error","message":"aborting due to 1 previous error","spans":[]}}"#,
        r#"{"reason":"build-finished","success":false}"#,
    ] {
        answer.take(line.replace('\n', "").as_bytes());
    }
    answer.end(&ended(false, &["error: could not compile"]));
    assert_eq!((answer.compiled, answer.fresh), (1, 1));
    let found = Finding { place: "src/b.rs:7".into(), problem: "mismatched types".into() };
    assert_eq!(answer.findings, [found]);
}

#[test]
fn what_cargo_itself_says_is_found_where_no_compiler_spoke() {
    let mut answer = Answer::default();
    answer.end(&ended(false, &["    Updating x", "error: no matching package", "", "Caused by: y"]));
    assert_eq!(answer.findings[0].problem, "no matching package; Caused by: y");
    // Of many lines the first and the last are kept: the cause stands at the end.
    let mut long = vec!["error: failed to run custom build command".to_owned()];
    long.extend((0..50).map(|n| format!("line {n}")));
    long.extend(
        ["the cause", "stack backtrace:", "   0: rust_begin_unwind", "   at a.rs:7"].map(String::from),
    );
    let mut answer = Answer::default();
    answer.end(&ended(false, &long.iter().map(String::as_str).collect::<Vec<_>>()));
    let problem = &answer.findings[0].problem;
    assert!(problem.starts_with("failed to run") && problem.ends_with("; line 49; the cause"), "{problem}");
    assert!(!problem.contains("line 20"), "{problem}");
    let mut silent = Answer::default();
    silent.end(&ended(false, &[]));
    assert_eq!(silent.findings[0].problem, "exit code 101");
}

#[test]
fn an_error_without_a_place_is_found_where_there_is_no_other() {
    let full = r#"{"reason":"compiler-message","message":{"level":"error","message":"failed to write x: No space left on device (os error 28)","spans":[]}}"#;
    let mut answer = Answer::default();
    answer.take(full.as_bytes());
    answer.end(&ended(false, &["error: could not compile"]));
    assert_eq!(answer.findings[0].place, "rustc");
    assert!(answer.findings[0].problem.ends_with("(os error 28)"));
    assert_eq!(answer.obstacle, Some(Obstacle::FullDisk));
}

#[test]
fn an_error_without_a_place_has_its_notes_and_of_a_long_message_both_ends() {
    let linking = format!(
        r#"{{"reason":"compiler-message","message":{{"level":"error","message":"linking with `cc` failed","children":[
            {{"level":"note","message":"cc {}"}},{{"level":"note","message":"undefined symbol: x"}}]}}}}"#,
        "a.o ".repeat(2000)
    );
    let mut answer = Answer::default();
    answer.take(linking.replace('\n', "").as_bytes());
    answer.end(&ended(false, &[]));
    let problem = &answer.findings[0].problem;
    assert!(problem.starts_with("linking with") && problem.ends_with("undefined symbol: x"), "{problem}");
    assert!(problem.len() < 2000, "{}", problem.len());
}

#[test]
fn what_has_a_remedy_of_its_own_is_told_by_its_kind() {
    let nightly = r#"{"reason":"compiler-message","message":{"level":"error","message":"no","code":{"code":"E0554"},"spans":[]}}"#;
    let obstacle = |ok: bool, line: &str, stderr: &str| {
        let mut answer = Answer::default();
        answer.take(line.as_bytes());
        answer.end(&ended(ok, &[stderr]));
        answer.obstacle
    };
    assert_eq!(obstacle(false, nightly, ""), Some(Obstacle::Nightly));
    assert_eq!(obstacle(true, nightly, ""), None);
    let locked = "error: cannot update the lock file x because --locked was passed to prevent this";
    assert_eq!(obstacle(false, "", locked), Some(Obstacle::Lockfile));
    let offline = "error: if you want cargo to reach out, remove the --offline flag";
    assert_eq!(obstacle(false, "", offline), Some(Obstacle::Offline));
    assert_eq!(obstacle(false, "", "error: no matching package"), None);
}

#[test]
fn tests_are_counted_and_those_that_fail_are_named() {
    let mut answer = Answer::default();
    for line in [
        "test a::b ... ok",
        "running 2 tests",
        // What a test prints, and an inner cargo of its own.
        "test result: ok. 5000 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        "test a::c ... FAILED",
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        "running 4 tests",
        "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s",
    ] {
        answer.take(line.as_bytes());
    }
    answer.end(&ended(false, &[]));
    assert_eq!(answer.tests_passed, 4);
    assert_eq!(answer.findings[0].place, "a::c");
}

#[test]
fn how_far_a_build_got_is_what_cargo_counts() {
    let line = "    Building [========>                  ] 123/264: serde, syn(build)";
    assert!(
        matches!(units(line), Some(Event::Units { done: 123, total: 264, what }) if what == "serde, syn(build)")
    );
    assert!(matches!(units("Building [=====>] 7/8"), Some(Event::Units { done: 7, total: 8, .. })));
    for other in
        ["    Building serde", "   Compiling a v1.0.0 (/x [y] 1/2)", "    Fetch [=>  ] 12.3%, 1.2MiB/s", ""]
    {
        assert!(units(other).is_none(), "{other}");
    }
}
