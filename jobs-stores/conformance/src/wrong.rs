//! One deliberately wrong store per rule.
