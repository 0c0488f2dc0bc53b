//! Ticks that fire, ticks that are passed over, and runs by hand.

use super::{Cursor, Fill, Run};
use crate::{
    Cause, Fire, Firing, Header, IfBusy, Millis, Pass, Passing, RunId, SessionId, SkipReason, TickInfo,
    Trigger, Verdict, cut_text,
};

/// What a store knows of a fire before it is decided.
#[derive(Debug)]
pub struct Known<'a> {
    /// The schedule of a tick; `None` if there is none.
    pub schedule: Option<&'a mut Cursor>,
    /// The run that was made by the same request, of a fire by hand.
    pub requested: Option<RunId>,
    /// The note of the pause that covers the job.
    pub paused: Option<String>,
    /// The oldest run that holds the ticks of the job.
    pub busy: Option<RunId>,
}

/// What becomes of a fire.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub enum Decision {
    /// It made this run before: it is answered as it was then, with the lease that came with the answer if it is held.
    Again(RunId),
    /// It makes no run. The verdicts are to be recorded: the cursor has moved over them.
    Refused(Firing, Vec<TickInfo>),
    /// It makes a run, with a number of the namespace's source: see [`Made`].
    Makes,
}

/// Decides a fire.
pub fn decide(fire: &Fire, known: &mut Known<'_>, session: Option<SessionId>, now: Millis) -> Decision {
    let refused = |firing| Decision::Refused(firing, Vec::new());
    match &fire.cause {
        Cause::Manual { .. } => {
            if let Some(run) = known.requested {
                return Decision::Again(run);
            }
        }
        Cause::Tick { fingerprint, cursor: expected, tick, at, .. } => {
            let Some(schedule) = known.schedule.as_deref() else { return refused(Firing::Stale) };
            if let Some((fired, run, by)) = schedule.last_fire
                && (fired, by) == (*tick, session)
            {
                return Decision::Again(run);
            }
            if schedule.fingerprint != *fingerprint {
                return refused(Firing::Stale);
            }
            if schedule.cursor != *expected || *tick <= *expected {
                return refused(Firing::Already(schedule.state()));
            }
            let at = *at.max(tick);
            if at > now {
                return refused(Firing::NotYet { wait: at.since(now) });
            }
        }
    }
    if let Some(note) = known.paused.take() {
        return refused(Firing::Paused { note });
    }
    match known.busy.filter(|_| fire.if_busy != IfBusy::Fire) {
        Some(run) => Decision::Refused(Firing::Busy { run }, hold(fire, known.schedule.as_deref_mut())),
        None => Decision::Makes,
    }
}

/// What becomes of a tick while a run of its job is busy.
fn hold(fire: &Fire, schedule: Option<&mut Cursor>) -> Vec<TickInfo> {
    let (Cause::Tick { tick, passed, .. }, Some(schedule)) = (&fire.cause, schedule) else {
        return Vec::new();
    };
    let mut verdicts = passed.clone();
    if fire.if_busy == IfBusy::Skip {
        let skipped = Verdict::Skipped(SkipReason::Overlap);
        verdicts.push(TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, skipped));
    }
    schedule.advance(&verdicts);
    if fire.if_busy == IfBusy::Queue {
        schedule.waiting = Some(*tick);
    }
    verdicts
}

/// A run that a fire makes.
#[derive(Debug, PartialEq)]
pub struct Made {
    /// The run.
    pub run: Run,
    /// The header of its first item.
    pub first: Header,
    /// The caller's id of a run by hand.
    pub request: Option<u64>,
    /// The verdicts that are to be recorded: the cursor has moved over them.
    pub verdicts: Vec<TickInfo>,
}

impl Made {
    /// The run of a fire that [`Decision::Makes`] one, under this number.
    pub fn by(
        fire: &Fire,
        id: RunId,
        schedule: Option<&mut Cursor>,
        session: Option<SessionId>,
        now: Millis,
    ) -> Self {
        let (trigger, tick, note, request, verdicts) = match &fire.cause {
            Cause::Tick { tick, trigger, verdict, passed, .. } => {
                let fired = TickInfo::fired(tick.timestamp(), *verdict, id);
                let verdicts: Vec<TickInfo> = passed.iter().cloned().chain([fired]).collect();
                if let Some(schedule) = schedule {
                    schedule.advance(&verdicts);
                    schedule.last_fire = Some((*tick, id, session));
                }
                (*trigger, Some(*tick), None, None, verdicts)
            }
            Cause::Manual { request, note } => {
                (Trigger::Manual, None, note.as_ref().map(cut_text), Some(*request), Vec::new())
            }
        };
        let items = u64::from(!fire.query);
        let mut run = Run { fresh: items, ..Run::new(id, trigger, now, items) };
        run.record.tick = tick;
        run.record.note = note;
        run.record.fill = fire.query.then(Fill::default);
        Self { run, first: Header::of_first_item(fire, id, trigger, tick, now), request, verdicts }
    }
}

/// Passes over ticks that do not fire. When they are [`Passing::Passed`], their verdicts are to be recorded.
pub fn pass(pass: &Pass, schedule: Option<&mut Cursor>, now: Millis) -> Passing {
    let Some(schedule) = schedule.filter(|schedule| schedule.fingerprint == pass.fingerprint) else {
        return Passing::Stale;
    };
    if schedule.cursor != pass.cursor {
        return Passing::Already(schedule.state());
    }
    if pass.passed.last().is_some_and(|last| Millis::from(last.last) > now) {
        return Passing::NotYet;
    }
    schedule.advance(&pass.passed);
    Passing::Passed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stage;

    const A: Option<SessionId> = Some(SessionId(1));
    const NOW: Millis = Millis(100);

    fn tick(tick: i64, if_busy: IfBusy) -> Fire {
        let cause = Cause::Tick {
            schedule: "a.b".into(),
            fingerprint: "one".into(),
            cursor: Millis(0),
            tick: Millis(tick),
            at: Millis(tick),
            verdict: Verdict::Fired,
            trigger: Trigger::Schedule,
            passed: vec![TickInfo::passed(Millis(5).timestamp(), Millis(5).timestamp(), 1, Verdict::Missed)],
        };
        Fire {
            job: "a.b".into(),
            cause,
            if_busy,
            priority: 3,
            query: true,
            exclusive: false,
            item_type: "()".into(),
        }
    }

    fn by_hand() -> Fire {
        let cause = Cause::Manual { request: 7, note: Some("please".into()) };
        Fire { cause, query: false, ..tick(10, IfBusy::Skip) }
    }

    fn at_zero() -> Cursor {
        Cursor::new(Millis(0), "one".into())
    }

    fn known(schedule: &mut Cursor) -> Known<'_> {
        Known { schedule: Some(schedule), requested: None, paused: None, busy: None }
    }

    fn refusal(fire: &Fire, known: &mut Known<'_>) -> Firing {
        match decide(fire, known, A, NOW) {
            Decision::Refused(firing, _) => firing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tick_is_fired_by_comparing_and_setting_the_cursor() {
        let mut cursor = at_zero();
        let fire = tick(10, IfBusy::Skip);
        assert_eq!(decide(&fire, &mut known(&mut cursor), A, NOW), Decision::Makes);
        let made = Made::by(&fire, RunId::new(9), Some(&mut cursor), A, NOW);
        assert_eq!((cursor.cursor, made.verdicts.len()), (Millis(10), 2));
        assert_eq!(
            decide(&fire, &mut known(&mut cursor), A, NOW),
            Decision::Again(RunId::new(9)),
            "its repeat"
        );
        let others = decide(&fire, &mut known(&mut cursor), Some(SessionId(2)), NOW);
        assert!(matches!(others, Decision::Refused(Firing::Already(_), _)), "{others:?}");
    }

    #[test]
    fn what_was_decided_from_something_else_is_refused() {
        let mut cursor = at_zero();
        cursor.cursor = Millis(1);
        assert!(matches!(refusal(&tick(10, IfBusy::Skip), &mut known(&mut cursor)), Firing::Already(_)));
        let mut cursor = Cursor::new(Millis(0), "two".into());
        assert_eq!(refusal(&tick(10, IfBusy::Skip), &mut known(&mut cursor)), Firing::Stale);
        let mut none = Known { schedule: None, requested: None, paused: None, busy: None };
        assert_eq!(refusal(&tick(10, IfBusy::Skip), &mut none), Firing::Stale);
        assert!(matches!(refusal(&tick(0, IfBusy::Skip), &mut known(&mut at_zero())), Firing::Already(_)));
    }

    #[test]
    fn no_cursor_is_ahead_of_the_clock() {
        let not_yet = |at: i64| {
            let mut fire = tick(10, IfBusy::Skip);
            if let Cause::Tick { at: when, .. } = &mut fire.cause {
                *when = Millis(at);
            }
            decide(&fire, &mut known(&mut at_zero()), A, NOW)
        };
        let wait = std::time::Duration::from_millis(1);
        assert_eq!(not_yet(101), Decision::Refused(Firing::NotYet { wait }, Vec::new()));
        assert_eq!(not_yet(100), Decision::Makes);
        assert!(matches!(
            refusal(&tick(101, IfBusy::Skip), &mut known(&mut at_zero())),
            Firing::NotYet { .. }
        ));
    }

    #[test]
    fn a_paused_job_makes_no_run_and_keeps_its_ticks() {
        let mut cursor = at_zero();
        let mut paused = Known { paused: Some("moving".into()), ..known(&mut cursor) };
        assert_eq!(refusal(&tick(10, IfBusy::Fire), &mut paused), Firing::Paused { note: "moving".into() });
        assert_eq!(cursor, at_zero());
    }

    #[test]
    fn a_busy_job_skips_queues_waits_or_fires() {
        let held = |if_busy| {
            let mut cursor = at_zero();
            let mut busy = Known { busy: Some(RunId::new(3)), ..known(&mut cursor) };
            let decision = decide(&tick(10, if_busy), &mut busy, A, NOW);
            (decision, cursor.cursor, cursor.waiting)
        };
        let (decision, cursor, waiting) = held(IfBusy::Skip);
        let Decision::Refused(Firing::Busy { run }, verdicts) = decision else { panic!("{decision:?}") };
        assert_eq!((run, verdicts.len(), cursor, waiting), (RunId::new(3), 2, Millis(10), None));
        let (_, cursor, waiting) = held(IfBusy::Queue);
        assert_eq!((cursor, waiting), (Millis(5), Some(Millis(10))), "it is still due");
        let (_, cursor, waiting) = held(IfBusy::Wait);
        assert_eq!((cursor, waiting), (Millis(5), None));
        assert_eq!(held(IfBusy::Fire).0, Decision::Makes);
    }

    #[test]
    fn a_run_by_hand_is_made_once_for_its_request() {
        let mut none = Known { schedule: None, requested: None, paused: None, busy: None };
        assert_eq!(decide(&by_hand(), &mut none, None, NOW), Decision::Makes);
        let mut again = Known { requested: Some(RunId::new(9)), paused: Some(String::new()), ..none };
        assert_eq!(
            decide(&by_hand(), &mut again, None, NOW),
            Decision::Again(RunId::new(9)),
            "paused or not"
        );
    }

    #[test]
    fn a_run_begins_with_its_query_or_with_its_one_item() {
        let queried = Made::by(&tick(10, IfBusy::Skip), RunId::new(9), None, A, NOW);
        assert_eq!((queried.first.stage, queried.run.counts.total), (Stage::Fill, 0));
        assert!(queried.run.is_busy() && queried.request.is_none());
        let one = Made::by(&by_hand(), RunId::new(9), None, A, NOW);
        assert_eq!((one.first.stage, one.run.counts.total, one.run.fresh), (Stage::Work, 1, 1));
        assert_eq!((one.request, one.run.record.note.as_deref()), (Some(7), Some("please")));
        let cause = Cause::Manual { request: 7, note: Some("please ".repeat(10_000)) };
        let noted = Made::by(&Fire { cause, ..by_hand() }, RunId::new(9), None, A, NOW).run.record.note;
        assert!(noted.is_some_and(|note| note.ends_with("… (cut, 70,000 bytes in all)")));
    }

    #[test]
    fn ticks_are_passed_over_by_comparing_and_setting_the_cursor() {
        let passed =
            |at: i64| TickInfo::passed(Millis(at).timestamp(), Millis(at).timestamp(), 1, Verdict::Missed);
        let over = |cursor: i64, to: i64| Pass {
            schedule: "a.b".into(),
            fingerprint: "one".into(),
            cursor: Millis(cursor),
            passed: vec![passed(to)],
        };
        let mut cursor = at_zero();
        assert_eq!(pass(&over(0, 100), Some(&mut cursor), NOW), Passing::Passed);
        assert_eq!(cursor.cursor, NOW);
        assert!(matches!(pass(&over(0, 100), Some(&mut cursor), NOW), Passing::Already(_)));
        assert_eq!(pass(&over(100, 101), Some(&mut cursor), NOW), Passing::NotYet);
        assert_eq!(pass(&over(0, 100), None, NOW), Passing::Stale);
        let mut other = Cursor::new(Millis(0), "two".into());
        assert_eq!(pass(&over(0, 100), Some(&mut other), NOW), Passing::Stale);
    }
}
