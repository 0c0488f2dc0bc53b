//! Against cronie's recorded answers, and with lines that are wrong.

use std::{
    fs::{self, File},
    io::Write as _,
    process::Stdio,
};

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::Deserialize;

use crate::{example, root, run};

#[derive(Deserialize)]
struct Case {
    id: u32,
    expr: String,
    zone: String,
    start: i64,
    /// None for a text that cronie refuses.
    expect: Option<Vec<i64>>,
    /// With fewer than ten fires: the list is complete up to here.
    complete_until: Option<i64>,
}

/// The lines that `--stdin` answers with.
fn answers(lines: &[u8]) -> Vec<String> {
    // A file, because a pipe that nobody reads fills up.
    let mut input = tempfile::NamedTempFile::new().unwrap();
    input.write_all(lines).unwrap();
    let input = File::open(input.path()).unwrap();
    let ran = run(example("next_fires").arg("--stdin").stdin(input));
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn every_line_of_cronies_corpus_is_answered() {
    let corpus = fs::read_to_string(root().join("jobs-schedule/tests/cron-corpus.jsonl")).unwrap();
    let cases: Vec<Case> = corpus.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() >= 3_600);
    let line = |case: &Case| format!("{}\t{}\t{}\t10\n", case.expr, case.zone, case.start);
    let answers = answers(cases.iter().map(line).collect::<String>().as_bytes());
    assert_eq!(answers.len(), cases.len(), "one line for each");

    for (case, answer) in cases.iter().zip(answers) {
        let Some(expect) = &case.expect else {
            assert!(answer.starts_with("error: "), "{} {:?}: {answer}", case.id, case.expr);
            continue;
        };
        let fires: Result<Vec<i64>, _> = answer.split_ascii_whitespace().map(str::parse).collect();
        let mut fires = fires.unwrap_or_else(|_| panic!("{} {:?}: {answer}", case.id, case.expr));
        fires.retain(|second| case.complete_until.is_none_or(|until| *second <= until));
        if fires != *expect {
            let law_changed = fires.iter().chain(expect).any(|second| law_changed(&case.zone, *second));
            assert!(law_changed, "{} {:?} {}: {expect:?} but {fires:?}", case.id, case.expr, case.zone);
        }
    }
}

/// Whether a zone's law for an instant has changed since the corpus was recorded. (The rules of then are held to
/// every line in `jobs-schedule/src/schedule/corpus_test.rs`.)
fn law_changed(zone: &str, second: i64) -> bool {
    let (name, data) = tzdb_2025b::get(zone).unwrap();
    let then = TimeZone::tzif(name, data).unwrap();
    let now = TimeZoneDatabase::bundled().get(zone).unwrap();
    let instant = Timestamp::from_second(second).unwrap();
    then.to_offset(instant) != now.to_offset(instant)
}

#[test]
fn a_line_that_is_wrong_is_answered_with_an_error_and_the_next_one_all_the_same() {
    let lines = [
        ("* * * * *\tUTC\t0\t2", "60 120"),
        ("", "error: a line is "),
        ("* * * * *", "error: a line is "),
        ("* * * * *\tUTC\t0", "error: a line is "),
        ("* * * * *\tUTC\tsoon\t2", "error: \"soon\" is not unix seconds"),
        ("* * * * *\tUTC\t0\t-1", "error: \"-1\" is not how many"),
        ("* * * * *\tUTC\t0\t", "error: \"\" is not how many"),
        ("* * * * *\tUTC\t99999999999999999999\t1", "error: "),
        ("* * * * *\tUTC\t9999999999999\t1", "error: "),
        ("* * * * *\tEurope/Pariss\t0\t1", "error: \"Europe/Pariss\" is not a time zone; did you mean"),
        ("0 25 * * *\tUTC\t0\t1", "error: 25 is out of range for the hour, at column 3"),
        ("\tUTC\t0\t1", "error: "),
        // The tabs of the expression are its own.
        ("*/30\t0 *\t* *\tUTC\t0\t2", "1800 86400"),
        // It ends, or has ended.
        ("2026-12-25T09:00:00Z\tUTC\t0\t5", "1798189200"),
        ("2026-12-25T09:00:00Z\tUTC\t1798189200\t5", ""),
        ("* * * * *\tUTC\t0\t0", ""),
        ("1500ms\tUTC\t-2\t3", "-1.5 0 1.5"),
    ];
    let mut input: Vec<u8> = lines.iter().flat_map(|(line, _)| [line.as_bytes(), b"\n"].concat()).collect();
    input.extend(b"not text \xff\tUTC\t0\t1"); // and no newline at the end
    let answers = answers(&input);
    assert_eq!(answers.len(), lines.len() + 1);
    for ((line, expected), answer) in lines.iter().zip(&answers) {
        let error = expected.starts_with("error: ") && answer.starts_with(expected);
        assert!(error || answer == expected, "{line:?}: {answer:?}");
    }
    assert!(answers[lines.len()].starts_with("error: "), "{answers:?}");
}

#[test]
fn an_answer_comes_before_the_next_question() {
    use std::io::{BufRead as _, BufReader};
    let mut command = example("next_fires");
    let mut child = command.arg("--stdin").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut questions, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answers = BufReader::new(answers).lines();
    for (question, answer) in [("1h\tUTC\t0\t1\n", "3600"), ("1h\tUTC\t3600\t1\n", "7200")] {
        questions.write_all(question.as_bytes()).unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), answer);
    }
    drop(questions);
    assert!(child.wait().unwrap().success());
}

#[test]
fn instants_are_shown_in_utc_and_in_the_zone() {
    let mut command = example("next_fires");
    command.args(["30 2 * * *", "--tz", "Europe/Paris", "--from", "2026-03-28T12:00:00Z", "-n", "2"]);
    let ran = run(&mut command);
    let expected = "2026-03-29T01:00:00Z  2026-03-29T03:00:00+02:00[Europe/Paris]\n\
                    2026-03-30T00:30:00Z  2026-03-30T02:30:00+02:00[Europe/Paris]\n";
    assert_eq!((ran.code, &*ran.stdout), (Some(0), expected), "{ran:?}");

    let ran = run(example("next_fires").args(["2026-12-25T09:00:00Z", "--from", "2026-01-01T00:00:00Z"]));
    assert_eq!(ran.stdout, "2026-12-25T09:00:00Z\nand then no more\n");
}

#[test]
fn what_is_not_understood_is_said() {
    for (args, said) in [
        (&[][..], "next_fires EXPR"),
        (&["0 25 * * *"], "error: 25 is out of range for the hour, at column 3; write 0-23"),
        (&["5m", "-n", "few"], "\"few\""),
        (&["5m", "--from", "then"], "\"then\""),
        (&["5m", "--zone", "UTC"], "invalid option '--zone'"),
        (&["5m", "UTC"], "unexpected argument \"UTC\""),
    ] {
        let ran = run(example("next_fires").args(args));
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
}
