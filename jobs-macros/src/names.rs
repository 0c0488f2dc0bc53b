//! Names of groups and jobs, and what is made of them.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{LitStr, ext::IdentExt};

use crate::errors::Errors;

const LONGEST: usize = 100;

/// A name is 1–100 of `[A-Za-z0-9_-]`, so that an id `group.name` has one dot.
pub(crate) fn check(what: &str, name: &LitStr, errors: &mut Errors) {
    let text = name.value();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let problem = if text.is_empty() {
        format!("the name of a {what} is empty; write one, as in \"send-email\"")
    } else if text.contains('.') {
        format!(
            "the name of a {what} has no dot: the dot of `group.name` stands between the two; write \"{}\"",
            text.replace('.', "-")
        )
    } else if let Some(other) = text.chars().find(|c| !allowed(*c)) {
        format!(
            "the name of a {what} cannot contain `{}`; use letters, digits, `_` and `-`",
            other.escape_debug()
        )
    } else if text.len() > LONGEST {
        format!(
            "the name of a {what} is at most {LONGEST} characters, and this one has {}; shorten it",
            text.len()
        )
    } else {
        return;
    };
    errors.at(name.span(), problem);
}

/// The method's name in capitals: `send_all` and `sendAll` are `SEND_ALL`.
pub(crate) fn screaming(method: &Ident) -> Ident {
    let name = method.unraw().to_string();
    let mut text = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && after_lower {
            text.push('_');
        }
        after_lower = c.is_lowercase() || c.is_numeric();
        text.extend(c.to_uppercase());
    }
    // Capitals of a letter may be no letter of an identifier, so rustc's own judge is asked.
    match syn::parse_str::<Ident>(&text) {
        Ok(_) => Ident::new(&text, method.span()),
        Err(_) => format_ident!("{}_JOB", method.unraw(), span = method.span()),
    }
}

/// The name as part of an identifier; different names give different texts.
pub(crate) fn slug(name: &str) -> String {
    name.replace('_', "__").replace('-', "_h")
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn mistakes(name: &str) -> Option<String> {
        let mut errors = Errors::default();
        check("job", &LitStr::new(name, Span::call_site()), &mut errors);
        errors.into_error().map(|error| error.to_string())
    }

    #[test]
    fn a_name_is_up_to_a_hundred_letters_digits_underscores_and_dashes() {
        for good in ["a", "send-email", "send_email", "2fa", "A-1_b", &"x".repeat(100)] {
            assert_eq!(mistakes(good), None, "{good}");
        }
        for (bad, says) in [
            ("", "is empty"),
            ("a.b", "write \"a-b\""),
            ("a b", "cannot contain ` `"),
            ("é", "cannot contain `é`"),
            ("a\n", "cannot contain `\\n`"),
            (&"x".repeat(101), "this one has 101"),
        ] {
            assert!(mistakes(bad).is_some_and(|m| m.contains(says)), "{bad}: {:?}", mistakes(bad));
        }
    }

    #[test]
    fn a_constant_is_the_methods_name_in_capitals() {
        let of = |name: &str| screaming(&syn::parse_str(name).unwrap()).to_string();
        assert_eq!(
            ["send", "send_all", "sendAll", "r#type", "SEND", "v2", "send2All", "_x", "straße"].map(of),
            ["SEND", "SEND_ALL", "SEND_ALL", "TYPE", "SEND", "V2", "SEND2_ALL", "_X", "STRASSE"]
        );
    }

    #[test]
    fn different_names_have_different_slugs() {
        let names = ["a-b", "a_b", "a--b", "a__b", "a_hb", "a-_b", "a_-b"];
        let slugs: std::collections::BTreeSet<_> = names.map(slug).into();
        assert_eq!(slugs.len(), names.len());
    }
}
