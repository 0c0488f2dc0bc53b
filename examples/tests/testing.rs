//! The example that is a test module, run with the other tests.

#[path = "../testing.rs"]
#[allow(dead_code)] // Its `main`.
mod testing;
