//! Under a paused clock.
