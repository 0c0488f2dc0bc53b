//! The tests of that example run in `tests/testing.rs`.

use crate::{example, run};

#[test]
fn the_night_is_told_line_by_line() {
    let ran = run(&mut example("testing"));
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.starts_with("tick 2026-03-29T03:00:00+02:00[Europe/Paris] fired\n"), "{ran:?}");
    assert!(ran.stdout.contains("attempt 1: the mail server is busy; again at 2026-03-29T01:01:"), "{ran:?}");
    assert!(ran.stdout.contains("done in 5s, attempt 2\n"), "{ran:?}");
}
