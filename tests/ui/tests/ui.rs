//! One file per mistake, each with the message it gets.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test may panic.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The compiler whose words the `.stderr` files hold.
const BLESSED: &str = "rustc 1.95.";
/// Set where this program runs itself on copies of the cases that have no `.stderr` files beside them.
const COPIES: &str = "JOBS_UI_COPIES";

#[test]
fn every_mistake_gets_its_message() {
    let cases = trybuild::TestCases::new();
    if let Ok(copies) = env::var(COPIES) {
        cases.compile_fail(format!("{copies}/*.rs"));
    } else if compiler().starts_with(BLESSED) {
        cases.compile_fail("cases/*.rs");
    } else {
        println!(
            "{} words its messages in its own way; checking only that no case compiles",
            compiler().trim()
        );
        assert!(no_case_compiles());
    }
}

fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc says its version");
    String::from_utf8(version.stdout).expect("a version is text")
}

/// `trybuild` compares with a `.stderr` file where there is one, so the cases are copied away from theirs.
fn no_case_compiles() -> bool {
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui-copies");
    let _ = fs::remove_dir_all(&copies);
    fs::create_dir_all(&copies).expect("a folder for the copies");
    for case in cases("rs") {
        let copy = copies.join(case.file_name().expect("a case is a file"));
        fs::copy(&case, copy).expect("a copy of the case");
    }
    let mut again = Command::new(env::current_exe().expect("this program"));
    again
        .args(["--exact", "every_mistake_gets_its_message"])
        .env(COPIES, copies)
        .env("TRYBUILD", "overwrite");
    again.status().expect("this program runs").success()
}

/// The files of the cases with this extension, sorted.
fn cases(extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let files =
        fs::read_dir(folder).expect("the folder of the cases").map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|is| is == extension)).collect();
    files.sort();
    files
}

/// One error of a message: its first line, the place, and what follows.
struct Reported<'a> {
    text: &'a str,
    line: usize,
    column: usize,
}

fn reported<'a>(message: &'a str, case: &str) -> Vec<Reported<'a>> {
    let place = format!("--> cases/{case}:");
    let mut errors = Vec::new();
    for text in message.split("\n\n").filter(|text| text.starts_with("error")) {
        let at = text.split(&place).nth(1).unwrap_or_else(|| panic!("{case}: no place in it: {text}"));
        let mut at = at.lines().next().unwrap_or_default().split(':').map(|n| n.parse().expect("a number"));
        let (line, column) = (at.next().expect("a line"), at.next().expect("a column"));
        errors.push(Reported { text, line, column });
    }
    errors
}

/// What the traits of `jobs-core` have rustc say: the messages and the notes of `diagnostic::on_unimplemented`, up to
/// the first type in them.
fn said_by_traits(key: &str) -> Vec<String> {
    let sources = [
        include_str!("../../../jobs-core/src/call.rs"),
        include_str!("../../../jobs-core/src/items.rs"),
        include_str!("../../../jobs-core/src/page.rs"),
        include_str!("../../../jobs-core/src/returns.rs"),
    ];
    let key = format!("    {key} = \"");
    let texts = sources.iter().flat_map(|source| source.split(&key).skip(1));
    let longest = |text: &str| {
        let text = text.split("\"\n").next()?.split("\",\n").next()?.split("\\\n").next()?;
        text.split(['{', '}']).max_by_key(|part| part.len()).map(str::to_owned)
    };
    texts.filter_map(longest).collect()
}

/// Names that are there for rustc to print, where its own message is the better one: it names the value that is held
/// over an await, the field that cannot be shared, both places of a duplicate.
const TELLING_NAMES: [&str; 3] = [
    "hold_only_what_is_send_across_an_await",
    "one_instance_is_shared_by_all_threads",
    "is_in_two_blocks_of_the_group_g__rename_one_of_them",
];

#[test]
fn every_message_is_ours_and_says_a_remedy() {
    let (messages, notes) = (said_by_traits("message"), said_by_traits("note"));
    assert!(messages.len() >= 9 && notes.len() >= 9, "{messages:?} {notes:?}");
    for file in cases("stderr") {
        let message = fs::read_to_string(&file).expect("a message");
        let name = file.with_extension("rs");
        let case = name.file_name().and_then(|name| name.to_str()).expect("a name");
        let errors = reported(&message, case);
        assert!(!errors.is_empty(), "{case}: nothing is reported");
        for Reported { text, .. } in errors {
            let first = text.lines().next().unwrap_or_default();
            let by_macro =
                first.starts_with("error: ") && (first.contains("; ") || first.contains("did you mean"));
            let by_trait = messages.iter().any(|message| first.contains(message))
                && notes.iter().any(|note| text.contains(note));
            let by_name = TELLING_NAMES.iter().any(|name| text.contains(name));
            let follows = first == "error: the first one is here";
            assert!(by_macro || by_trait || by_name || follows, "{case}: not in our words: {text}");
        }
    }
}

#[test]
fn every_message_stands_on_the_users_own_token() {
    for file in cases("stderr") {
        let message = fs::read_to_string(&file).expect("a message");
        let name = file.with_extension("rs");
        let source = fs::read_to_string(&name).expect("a case");
        let case = name.file_name().and_then(|name| name.to_str()).expect("a name");
        for Reported { text, line, column } in reported(&message, case) {
            let line = source.lines().nth(line - 1).unwrap_or_else(|| panic!("{case}: no line {line}"));
            let token: String = line.chars().skip(column - 1).collect();
            assert!(!token.trim().is_empty(), "{case}: nothing stands at column {column}: {line}");
            // A name that is missing has no place but the attribute.
            let whole = token.starts_with("#[cron_group") && case != "no_group_name.rs";
            assert!(!whole, "{case}: on the whole attribute: {text}");
        }
    }
}

#[test]
fn every_case_says_what_is_wrong_and_has_its_message() {
    let files = cases("rs");
    assert!(files.len() >= 40, "{} cases", files.len());
    for file in files {
        let source = fs::read_to_string(&file).expect("a case");
        assert!(
            source.starts_with("//! ") && source.lines().nth(1).is_some_and(|line| !line.starts_with("//!"))
        );
        assert!(file.with_extension("stderr").exists(), "{} has no message", file.display());
    }
}
