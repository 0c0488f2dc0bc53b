//! `session_cleanup`: what has expired goes, and nothing else.

use std::{fs, path::Path};

use crate::{Ran, example, run};

fn cleanup(folder: &Path, args: &[&str]) -> Ran {
    run(example("session_cleanup").env("JOBS_STORE", "memory:").arg(folder).args(args))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn only_what_has_expired_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    for (user, lifetime) in [("ada", "1h"), ("bob", "0s"), ("eve", "0s")] {
        let ran = cleanup(folder.path(), &["--login", user, "--for", lifetime]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    fs::write(folder.path().join("notes.txt"), "no session").unwrap();
    let ran = cleanup(folder.path(), &["--once"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(0), "2 removed, 0 left, 0 failed\n"), "{ran:?}");
    assert_eq!(names(folder.path()), ["ada.json", "notes.txt"]);
}

#[test]
fn what_cannot_be_read_is_said_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mallory.json"), "{").unwrap();
    let ran = cleanup(folder.path(), &["--once"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("mallory.json"), "{ran:?}");
    assert_eq!(names(folder.path()), ["mallory.json"]);
}
