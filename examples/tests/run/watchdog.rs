//! `watchdog`: who answers is well, who does not is named.

use std::net::TcpListener;

use crate::{Ran, example, run};

/// So many percent have to be left: 0 always are, 101 never, whatever this machine has.
fn watch(free: &str, addresses: &[&str]) -> Ran {
    run(example("watchdog").env("JOBS_STORE", "memory:").args(["--once", "--free", free]).args(addresses))
}

#[test]
fn who_answers_is_well_and_who_does_not_is_named() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = (open.local_addr().unwrap().to_string(), open);
    let ran = watch("0", &[&open.0]);
    assert_eq!((ran.code, &*ran.stdout), (Some(0), "3 checks: 3 well, 0 not\n"), "{ran:?}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = watch("0", &[&open.0, &closed]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "4 checks: 3 well, 1 not");
    assert!(lines[1].contains(&closed) && lines[1].contains("refused"), "{ran:?}");
}

#[test]
fn too_little_memory_and_disk_are_alarms() {
    let ran = watch("101", &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("2 checks: 0 well, 2 not\n"), "{ran:?}");
    for what in ["memory", "disk"] {
        assert!(ran.stdout.contains(&format!("% of the {what} is left, less than 101 %")), "{ran:?}");
    }
}

#[test]
fn a_schedule_that_is_none_is_refused_at_the_start() {
    let ran = run(example("watchdog").env("JOBS_STORE", "memory:").args(["--every", "10 parsecs"]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("schedule"), "{ran:?}");
}
