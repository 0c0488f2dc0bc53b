//! What a binary links, for a snapshot.

use jobs_core::{JobInfo, Policy, descriptor::GroupBlock};

/// Every job that this binary links, in the order of their ids, as the attributes declare them. As a snapshot in a
/// test, it makes an accidental rename or a changed schedule break the build.
#[must_use]
pub fn linked() -> Vec<JobInfo> {
    let mut jobs = Vec::new();
    for block in GroupBlock::linked() {
        for def in block.jobs {
            let policy =
                Policy::resolve(&[block.options.into(), def.options.into()], def.query.is_some()).ok();
            let schedule = policy.and_then(|policy| policy.schedule);
            jobs.push(JobInfo {
                id: format!("{}.{}", block.name, def.name),
                group: block.name.to_owned(),
                name: def.name.to_owned(),
                tz: schedule.as_ref().map_or("UTC", |schedule| schedule.zone()).to_owned(),
                schedule: schedule.map(|schedule| schedule.to_string()),
                next: None,
                paused: None,
                location: def.location,
            });
        }
    }
    jobs.sort_by(|a, b| a.id.cmp(&b.id));
    jobs
}
