//! Lies about ids.

use jobs_core::{Appended, Cause, Completion, SessionId};

use super::{
    liar::{Lie, fires},
    runs::completions,
};
use crate::call::{Answer, Call};

/// What is left of a number that is kept as a float.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn as_float(id: u64) -> u64 {
    id as f64 as u64
}

pub(super) const LIES: &[Lie] = &[
    Lie::asks("ids_at_their_limits_are_told_apart", "keeps requests as floats", |call, _| {
        for fire in fires(call) {
            if let Cause::Manual { request, .. } = &mut fire.cause {
                *request = as_float(*request);
            }
        }
    }),
    Lie::asks("ids_at_their_limits_are_told_apart", "keeps sessions as floats", |call, _| match call {
        Call::Attach(attach) => attach.session = SessionId(as_float(attach.session.0)),
        Call::Fire(Some(session), ..) => *session = SessionId(as_float(session.0)),
        Call::Settle(settle) => settle.session = SessionId(as_float(settle.session.0)),
        _ => {}
    }),
    Lie::answers("what_nobody_has_made_is_not_there", "takes any lease for a good one", |_, answer, _| {
        if let Answer::Append(appended @ Appended::Lost) = answer {
            *appended = Appended::Stored { ready: 0, total: 0 };
        }
    }),
    Lie::answers(
        "what_nobody_has_made_is_not_there",
        "takes an unknown run for an open one",
        |_, answer, _| {
            for completion in completions(answer) {
                if *completion == Completion::Unknown {
                    *completion = Completion::Open;
                }
            }
        },
    ),
];
