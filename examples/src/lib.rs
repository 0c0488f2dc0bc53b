//! Each example is one file beside this package's `Cargo.toml`, and one command: `cargo run --example quickstart`.
