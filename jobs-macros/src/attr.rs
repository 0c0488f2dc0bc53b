//! What stands inside `#[cron_group(..)]`, `#[job(..)]`, `#[query(..)]` and their siblings.

use jobs_schedule::suggest::nearest;
use proc_macro2::{Span, TokenStream};
use syn::{
    Attribute, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Meta, Path, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    spanned::Spanned,
};

use crate::{
    errors::Errors,
    names,
    options::{self, Setting},
};

/// `#[hourly]` and its siblings, with the schedule that each stands for.
const PRESETS: &[(&str, &str)] =
    &[("hourly", "0 * * * *"), ("daily", "0 0 * * *"), ("weekly", "0 0 * * 0"), ("monthly", "0 0 1 * *")];

/// What an attribute on a method makes of it.
#[derive(Clone, Copy)]
pub(crate) enum Helper {
    Job { preset: Option<&'static str> },
    Query,
}

impl Helper {
    /// The helper that an attribute is, told by the last segment of its path, so that `#[jobs_runner::job]` is one.
    pub(crate) fn of(attr: &Attribute) -> Option<Self> {
        let name = &attr.path().segments.last()?.ident;
        if name == "job" {
            return Some(Self::Job { preset: None });
        }
        if name == "query" {
            return Some(Self::Query);
        }
        let preset = PRESETS.iter().find(|(preset, _)| name == preset)?.1;
        Some(Self::Job { preset: Some(preset) })
    }
}

/// `#[cron_group("name", option = .., crate = path)]`
pub(crate) struct GroupArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    pub(crate) settings: Vec<Setting>,
}

impl GroupArgs {
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let Raw { mut listed, named } = Raw::parse(args, errors);
        let example = "write `#[cron_group(\"name\")]`";
        let name = name("group", take_first(&mut listed), Span::call_site(), example, errors);
        for extra in listed {
            errors.on(extra, "a group has a name and options; the schedule is written on each `#[job]`");
        }
        let (krate, named): (Vec<_>, Vec<_>) = named.into_iter().partition(|(key, _)| key == "crate");
        let krate = krate.into_iter().filter_map(|(key, value)| path(&key, value, errors)).next();
        let settings =
            options::settings(named, &["crate"], |key, _, errors| unknown(key, "group", errors), errors);
        Self { name, krate, settings }
    }
}

/// `#[job("name", "schedule", option = .., handle = IDENT, was = "old")]`
pub(crate) struct JobArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) schedule: Option<LitStr>,
    pub(crate) was: Option<LitStr>,
    pub(crate) handle: Option<Ident>,
    pub(crate) settings: Vec<Setting>,
}

impl JobArgs {
    pub(crate) fn parse(attr: &Attribute, preset: Option<&str>, errors: &mut Errors) -> Self {
        let attr_name = attr_name(attr);
        let example = match preset {
            None => format!("write `#[{attr_name}(\"name\", \"0 9 * * *\")]`"),
            Some(_) => format!("write `#[{attr_name}(\"name\")]`"),
        };
        let Raw { mut listed, named } = Raw::parse(arguments(attr), errors);
        let name = name("job", take_first(&mut listed), attr.path().span(), &example, errors);
        let schedule = match preset {
            Some(preset) => Some(LitStr::new(preset, attr.path().span())),
            None => take_first(&mut listed).and_then(|schedule| options::schedule(schedule, errors)),
        };
        for extra in listed {
            let problem = match preset {
                Some(preset) => format!(
                    "`#[{attr_name}]` has its schedule, {preset:?}; for another one write `#[job(\"name\", \"..\")]`"
                ),
                None => "a job has a name, a schedule and options; write options as `key = value`".into(),
            };
            errors.on(extra, problem);
        }
        let (mut was, mut handle) = (None, None);
        let own = |key: &Ident, value: Option<Expr>, errors: &mut Errors| match key.to_string().as_str() {
            "was" => was = text(key, value, errors),
            "handle" => handle = constant(key, value, errors),
            "schedule" | "cron" => errors
                .at(key.span(), format!("the schedule is written without a key, after the name; {example}")),
            _ => unknown(key, "job", errors),
        };
        let settings = options::settings(named, &["handle", "was"], own, errors);
        Self { name, schedule, was, handle, settings }
    }
}

/// `#[query("name")]`; gives the name.
pub(crate) fn query(attr: &Attribute, errors: &mut Errors) -> Option<LitStr> {
    let Raw { mut listed, named } = Raw::parse(arguments(attr), errors);
    let example = "write the name of the job whose items it finds, as in `#[query(\"send\")]`";
    let name = name("job", take_first(&mut listed), attr.path().span(), example, errors);
    for extra in listed {
        errors.on(extra, "a query has a name alone; the schedule is written on its `#[job]`");
    }
    for (key, _) in named {
        errors.at(key.span(), format!("a query has a name alone; write `{key}` on its `#[job]`"));
    }
    name
}

/// The attribute's name as the user wrote it, without its path.
pub(crate) fn attr_name(attr: &Attribute) -> String {
    attr.path().segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

/// The arguments, whatever the attribute's form; `#[job]` has none.
fn arguments(attr: &Attribute) -> TokenStream {
    match &attr.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    }
}

/// Arguments before they are given a meaning: values in a row, and values with a key.
struct Raw {
    listed: Vec<Expr>,
    named: Vec<(Ident, Option<Expr>)>,
}

impl Raw {
    fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let (mut listed, mut named) = (Vec::new(), Vec::new());
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) {
                    let key = input.call(Ident::parse_any)?;
                    input.parse::<Token![=]>()?;
                    if input.is_empty() || input.peek(Token![,]) {
                        named.push((key, None));
                    } else if key == "crate" {
                        // `crate = crate` is no expression.
                        let (attrs, qself, path) = (Vec::new(), None, input.call(Path::parse_mod_style)?);
                        named.push((key, Some(Expr::Path(ExprPath { attrs, qself, path }))));
                    } else {
                        named.push((key, Some(input.parse()?)));
                    }
                } else {
                    let value: Expr = input.parse()?;
                    match (named.last(), word(&value)) {
                        (_, Some(key)) if options::is_known(&key) => named.push((key, None)),
                        (Some((key, _)), _) => errors.on(
                            value,
                            format!(
                                "this has no key; write the name and the schedule first, before `{key} = ..`"
                            ),
                        ),
                        _ => listed.push(value),
                    }
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        let parsed = parser.parse2(args);
        errors.ok(parsed);
        Self { listed, named }
    }
}

fn take_first(listed: &mut Vec<Expr>) -> Option<Expr> {
    (!listed.is_empty()).then(|| listed.remove(0))
}

/// The name of a group or job. When it is missing, `place` is where.
fn name(what: &str, value: Option<Expr>, place: Span, example: &str, errors: &mut Errors) -> Option<LitStr> {
    match value {
        Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) => {
            names::check(what, &name, errors);
            Some(name)
        }
        Some(other) => {
            errors.on(other, format!("the name of a {what} is a string literal; {example}"));
            None
        }
        None => {
            errors.at(place, format!("the name of the {what} is missing; {example}"));
            None
        }
    }
}

/// A single word, such as `timeout`.
fn word(value: &Expr) -> Option<Ident> {
    match value {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
        _ => None,
    }
}

fn path(key: &Ident, value: Option<Expr>, errors: &mut Errors) -> Option<Path> {
    match value {
        Some(Expr::Path(path)) => Some(path.path),
        _ => {
            errors.at(
                key.span(),
                "`crate` is the path of the `jobs-runner` crate; write `crate = my_name_for_it`",
            );
            None
        }
    }
}

fn text(key: &Ident, value: Option<Expr>, errors: &mut Errors) -> Option<LitStr> {
    match value {
        Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => {
            names::check("job", &text, errors);
            Some(text)
        }
        value => {
            let span = value.map_or(key.span(), |value| value.span());
            errors.at(span, "`was` is the name that the job had; write `was = \"old-name\"`");
            None
        }
    }
}

fn constant(key: &Ident, value: Option<Expr>, errors: &mut Errors) -> Option<Ident> {
    let name = value.as_ref().and_then(word);
    if name.is_none() {
        let span = value.map_or(key.span(), |value| value.span());
        errors.at(span, "`handle` names the job's constant; write `handle = SEND_ALL`");
    }
    name
}

fn unknown(key: &Ident, what: &str, errors: &mut Errors) {
    let word = key.to_string();
    let (of_job, of_group) = (["handle", "was"], ["crate"]);
    let (own, others, other) = if what == "job" {
        (&of_job[..], &of_group[..], "#[cron_group]")
    } else {
        (&of_group[..], &of_job[..], "#[job]")
    };
    let meant = match word.as_str() {
        "timezone" | "time_zone" | "zone" => Some("tz"),
        "attempts" | "max_attempts" | "max_retries" => Some("retries"),
        _ => nearest(&word, options::keys().chain(own.iter().copied())),
    };
    let problem = if others.contains(&&*word) {
        format!("`{word}` is not an option of a {what}; it is written on `{other}`")
    } else if let Some(meant) = meant {
        format!("unknown option `{word}`; did you mean `{meant}`?")
    } else {
        let known: Vec<_> = options::keys().chain(own.iter().copied()).collect();
        format!("unknown option `{word}`; the options of a {what} are {}", known.join(", "))
    };
    errors.at(key.span(), problem);
}
