//! One file per example: see `examples/`.
