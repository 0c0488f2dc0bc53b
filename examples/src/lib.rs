//! Each example is one file beside this package's `Cargo.toml`, and one command: `cargo run --example quickstart`.

/// What the README says compiles, and its test passes.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
