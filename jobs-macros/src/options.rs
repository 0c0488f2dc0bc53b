//! The options of a job, and what their values may be.

use std::time::Duration;

use jobs_schedule::{Expression, duration, suggest::nearest, zone};
use proc_macro2::Span;
use syn::{Expr, ExprLit, ExprUnary, Ident, Lit, LitStr, UnOp, spanned::Spanned};

use crate::errors::Errors;

/// What the value of an option is.
#[derive(Clone, Copy)]
enum Kind {
    /// A length of time in words, or a constant.
    Duration { zero: bool },
    /// A number of this many at least.
    Count { least: u32 },
    /// A number that may be negative.
    Priority,
    /// The name of a time zone.
    Zone,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Whether.
    Bool,
}

/// Every option by its key. The keys are the fields of `jobs_core::Declared`.
const OPTIONS: &[(&str, Kind)] = &[
    ("retries", Kind::Count { least: 0 }),
    ("retry_delay", Kind::Duration { zero: true }),
    ("max_retry_delay", Kind::Duration { zero: true }),
    ("backoff", Kind::Word(&["exponential", "linear", "fixed"])),
    ("timeout", Kind::Duration { zero: false }),
    ("max_compute_time", Kind::Duration { zero: false }),
    ("tz", Kind::Zone),
    ("concurrency", Kind::Count { least: 1 }),
    ("global_concurrency", Kind::Count { least: 1 }),
    ("priority", Kind::Priority),
    ("overlap", Kind::Word(&["skip", "queue", "allow"])),
    ("catch_up", Kind::Word(&["skip", "once", "all"])),
    ("catch_up_window", Kind::Duration { zero: true }),
    ("jitter", Kind::Duration { zero: true }),
    ("late_after", Kind::Duration { zero: true }),
    ("keep_runs", Kind::Count { least: 0 }),
    ("keep_ticks", Kind::Count { least: 0 }),
    ("keep_dead", Kind::Duration { zero: true }),
    ("enabled", Kind::Bool),
];

/// An option with its value.
pub(crate) struct Setting {
    pub(crate) key: Ident,
    pub(crate) value: Value,
    /// Where the value stands.
    pub(crate) at: Span,
}

/// A value as it is written into the program.
pub(crate) enum Value {
    /// A length of time that was read here.
    Duration(Duration),
    /// A literal or a constant, as it stands. Its type is rustc's to judge.
    Written(Expr),
}

/// The keys of all options.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(key, _)| *key)
}

/// Whether there is an option of this name.
pub(crate) fn is_known(key: &Ident) -> bool {
    keys().any(|known| key == known)
}

/// Reads options; a key that is none goes to `own`, once, if it is among `own_keys`.
pub(crate) fn settings(
    named: Vec<(Ident, Option<Expr>)>,
    own_keys: &[&str],
    mut own: impl FnMut(&Ident, Option<Expr>, &mut Errors),
    errors: &mut Errors,
) -> Vec<Setting> {
    let (mut settings, mut seen) = (Vec::new(), Vec::<Ident>::new());
    for (key, value) in named {
        let kind = OPTIONS.iter().find(|(known, _)| key == known).map(|(_, kind)| *kind);
        if kind.is_some() || own_keys.iter().any(|own| key == own) {
            if seen.contains(&key) {
                errors.at(key.span(), format!("`{key}` is given twice; take one of them out"));
                continue;
            }
            seen.push(key.clone());
        }
        match (kind, value) {
            (None, value) => own(&key, value, errors),
            (Some(kind), None) => {
                errors.at(key.span(), format!("`{key}` has no value; {}", remedy(&key, kind)));
            }
            (Some(kind), Some(value)) => {
                let at = value.span();
                if let Some(value) = check(&key, kind, value, errors) {
                    settings.push(Setting { key, value, at });
                }
            }
        }
    }
    settings
}

/// A schedule is judged here, at the literal.
pub(crate) fn schedule(value: Expr, errors: &mut Errors) -> Option<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            if let Err(error) = Expression::parse(&text.value()) {
                errors.at(text.span(), error);
            }
            Some(text)
        }
        other => {
            errors.on(
                other,
                "a schedule is a string literal, so that it can be checked here; write it out, as in \"0 9 * * *\"",
            );
            None
        }
    }
}

fn check(key: &Ident, kind: Kind, value: Expr, errors: &mut Errors) -> Option<Value> {
    let remedy = || remedy(key, kind);
    let problem = match (kind, plain(&value)) {
        (Kind::Duration { zero }, Plain::Text(text)) => {
            let read = if zero { duration::parse } else { duration::parse_positive };
            match read(&text.value()) {
                Ok(duration) => return Some(Value::Duration(duration)),
                Err(error) => error.to_string(),
            }
        }
        (Kind::Duration { .. }, Plain::Number { digits, .. }) => {
            format!("a duration needs a unit; write `{key} = \"{digits}s\"`")
        }
        (Kind::Count { .. }, Plain::Number { negative: true, .. }) => {
            format!("`{key}` cannot be negative; {}", remedy())
        }
        (Kind::Count { least }, Plain::Number { digits, .. }) => match digits.parse::<u32>() {
            Ok(number) if number >= least => return Some(Value::Written(value)),
            Ok(_) => format!("`{key}` is at least {least}; {}", remedy()),
            Err(_) => format!("`{key}` is a whole number up to {}; {}", u32::MAX, remedy()),
        },
        (Kind::Priority, Plain::Number { negative, digits }) => {
            let sign = if negative { "-" } else { "" };
            match format!("{sign}{digits}").parse::<i16>() {
                Ok(_) => return Some(Value::Written(value)),
                Err(_) => {
                    format!("`{key}` is a whole number from {} to {}; {}", i16::MIN, i16::MAX, remedy())
                }
            }
        }
        (Kind::Count { .. } | Kind::Priority, Plain::Text(text)) => match text.value().parse::<i64>() {
            Ok(number) => format!("`{key}` is a number; write `{key} = {number}`"),
            Err(_) => format!("`{key}` is a number; {}", remedy()),
        },
        (Kind::Zone, Plain::Text(text)) => match zone::check(&text.value()) {
            Ok(()) => return Some(Value::Written(value)),
            Err(error) => error.to_string(),
        },
        (Kind::Word(words), Plain::Text(text)) => {
            let word = text.value();
            if words.contains(&&*word) {
                return Some(Value::Written(value));
            }
            match nearest(&word, words.iter().copied()) {
                Some(meant) => format!("unknown `{key}` {word:?}; did you mean {meant:?}?"),
                None => format!("unknown `{key}` {word:?}; {}", remedy()),
            }
        }
        (Kind::Bool, Plain::Bool | Plain::Constant)
        | (Kind::Duration { .. } | Kind::Count { .. } | Kind::Priority, Plain::Constant) => {
            return Some(Value::Written(value));
        }
        (Kind::Zone, _) => format!("`{key}` is a string literal; {}", remedy()),
        (Kind::Word(_), _) => format!("`{key}` is a word; {}", remedy()),
        (Kind::Bool, _) => format!("`{key}` is a `bool`; {}", remedy()),
        (Kind::Duration { .. }, _) => format!("`{key}` is a duration; {}", remedy()),
        (Kind::Count { .. } | Kind::Priority, _) => format!("`{key}` is a number; {}", remedy()),
    };
    errors.on(value, problem);
    None
}

/// How to write the option.
fn remedy(key: &Ident, kind: Kind) -> String {
    match kind {
        Kind::Duration { .. } => format!("write `{key} = \"30s\"` or a constant of type `Duration`"),
        Kind::Count { .. } | Kind::Priority => format!("write `{key} = 3` or a constant"),
        Kind::Zone => format!("write a name, as in `{key} = \"Europe/Paris\"`"),
        Kind::Word(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("write one of {}", quoted.join(", "))
        }
        Kind::Bool => format!("write `{key} = false` or a constant"),
    }
}

/// A value as far as it can be told from its syntax.
enum Plain<'a> {
    Text(&'a LitStr),
    Number {
        negative: bool,
        digits: String,
    },
    Bool,
    /// Another literal.
    Other,
    /// Anything else is left to rustc.
    Constant,
}

fn plain(value: &Expr) -> Plain<'_> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => Plain::Text(text),
            Lit::Int(number) => Plain::Number { negative: false, digits: number.base10_digits().to_owned() },
            Lit::Float(number) => {
                Plain::Number { negative: false, digits: number.base10_digits().to_owned() }
            }
            Lit::Bool(_) => Plain::Bool,
            _ => Plain::Other,
        },
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match plain(expr) {
            Plain::Number { negative, digits } => Plain::Number { negative: !negative, digits },
            other => other,
        },
        Expr::Group(group) => plain(&group.expr),
        _ => Plain::Constant,
    }
}
