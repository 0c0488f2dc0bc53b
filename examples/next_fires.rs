//! When does a schedule fire?
//!
//! ```console
//! $ cargo run --example next_fires -- "0 9 * * MON" --tz Europe/Paris -n 3
//! $ cargo run --example next_fires -- "30 2 * * *" --tz Europe/Paris --from 2026-03-28T12:00:00Z
//! ```
//!
//! With `--stdin` each line is `expr`, zone, unix seconds and n, with tabs between them. The answer to a line is a
//! line: the n fires after that second in unix seconds, fewer where the schedule ends, or `error: …`.

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
    str::FromStr,
};

use jobs_runner::{prelude::*, schedule::Schedule};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let answered = match Options::parse()? {
        Options::Stdin => answer_lines(io::stdin().lock(), io::stdout().lock()),
        Options::One { expr, tz, from, n } => {
            show(&Schedule::parse(&expr, &tz)?, from, n, io::stdout().lock())
        }
    };
    match answered {
        // Whoever read this has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// The fires strictly after an instant.
fn fires(schedule: &Schedule, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(schedule.next_after(after), |last| schedule.next_after(*last))
}

fn show(schedule: &Schedule, from: Timestamp, n: usize, mut out: impl Write) -> io::Result<()> {
    let mut found = 0;
    for fire in fires(schedule, from).take(n) {
        found += 1;
        match fire.in_tz(schedule.zone()) {
            Ok(local) if schedule.zone() != "UTC" => writeln!(out, "{fire}  {local}")?,
            _ => writeln!(out, "{fire}")?,
        }
    }
    if found < n { writeln!(out, "and then no more") } else { Ok(()) }
}

fn answer_lines(mut input: impl BufRead, mut out: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        match answer(line.strip_suffix(b"\n").unwrap_or(&line)) {
            Ok(fires) => writeln!(out, "{}", fires.join(" "))?,
            Err(error) => writeln!(out, "error: {error}")?,
        }
        line.clear();
    }
    Ok(())
}

fn answer(line: &[u8]) -> Result<Vec<String>> {
    // The expression is taken as it is: tabs and blanks are its own.
    let mut parts = std::str::from_utf8(line)?.rsplitn(4, '\t');
    let (Some(n), Some(unix), Some(tz), Some(expr)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(
            "a line is an expression, a zone, unix seconds and a number, with tabs between them".into()
        );
    };
    let n: usize = n.parse().map_err(|error| format!("{n:?} is not how many to show: {error}"))?;
    let unix: i64 = unix.parse().map_err(|error| format!("{unix:?} is not unix seconds: {error}"))?;
    let after = Timestamp::from_second(unix)?;
    let schedule = Schedule::parse(expr, tz)?;
    Ok(fires(&schedule, after).take(n).map(seconds).collect())
}

/// Whole, but for an interval or an instant finer than that.
fn seconds(fire: Timestamp) -> String {
    match fire.as_millisecond() {
        millis if millis % 1_000 == 0 => (millis / 1_000).to_string(),
        millis => (millis as f64 / 1_000.0).to_string(),
    }
}

enum Options {
    Stdin,
    One { expr: String, tz: String, from: Timestamp, n: usize },
}

impl Options {
    fn parse() -> Result<Self> {
        let (mut expr, mut tz, mut from, mut n) = (None, "UTC".to_owned(), Timestamp::now(), 5);
        let mut flags = lexopt::Parser::from_env();
        while let Some(flag) = flags.next()? {
            match flag {
                lexopt::Arg::Long("stdin") => return Ok(Self::Stdin),
                lexopt::Arg::Long("tz") => tz = flags.value()?.into_string().map_err(lexopt::Error::from)?,
                lexopt::Arg::Long("from") => from = parsed(&mut flags)?,
                lexopt::Arg::Short('n') => n = parsed(&mut flags)?,
                lexopt::Arg::Value(value) if expr.is_none() => {
                    expr = Some(value.into_string().map_err(lexopt::Error::from)?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let expr = expr.ok_or("write: next_fires EXPR [--tz ZONE] [--from INSTANT] [-n N], or --stdin")?;
        Ok(Self::One { expr, tz, from, n })
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(flags: &mut lexopt::Parser) -> Result<T> {
    let value = flags.value()?.into_string().map_err(lexopt::Error::from)?;
    value.parse().map_err(|error| format!("{value:?}: {error}").into())
}
