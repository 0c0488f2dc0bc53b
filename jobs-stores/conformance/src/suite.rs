//! Running rules against a store.

use crate::{
    Copies, Fixture, Violation,
    bench::Bench,
    rules::{RULES, Rule},
    violation::Broken,
};

/// Every rule, in the order of the contract.
#[must_use]
pub fn rules() -> &'static [Rule] {
    RULES
}

/// Holds a store to one rule: in each way in which operations are sent, on a fresh fixture each.
///
/// # Errors
/// The first [`Violation`] that is seen.
pub fn check(rule: &Rule, fixture: &dyn Fn() -> Box<dyn Fixture>) -> Result<(), Violation> {
    Copies::ALL.into_iter().try_for_each(|copies| {
        let broken = |Broken(what)| Violation { rule: rule.name, mode: copies.name(), what };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broken(Broken(format!("there is no runtime: {error}"))))?;
        // Connections are also closed inside the runtime.
        let _inside = runtime.enter();
        let fixture = fixture();
        Bench::new(&*fixture, &runtime, copies).and_then(|mut bench| (rule.holds)(&mut bench)).map_err(broken)
    })
}

/// What each test of [`conformance!`](crate::conformance) does.
///
/// # Panics
/// If the store breaks the rule: it is a test.
#[expect(clippy::panic, reason = "a test says so by a panic")]
pub fn hold(name: &str, fixture: &dyn Fn() -> Box<dyn Fixture>) {
    let rule = RULES.iter().find(|rule| rule.name == name);
    if let Err(violation) = rule.map_or(Ok(()), |rule| check(rule, fixture)) {
        panic!("{violation}");
    }
}

/// Makes one test per rule. The expression makes a [`Fixture`](crate::Fixture), an empty place of its own each
/// time.
#[macro_export]
macro_rules! conformance {
    ($fixture:expr) => {
        $crate::__rules! { __tests ($fixture) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    (($fixture:expr) $($module:ident { $($rule:ident)* })*) => { $($(
        #[test]
        fn $rule() {
            $crate::hold(stringify!($rule), &|| Box::new($fixture));
        }
    )*)* };
}
