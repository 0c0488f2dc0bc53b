//! Tests of what the whole does: shapes, schedules over time, failures, bad input. See `tests/`.
