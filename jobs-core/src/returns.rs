//! What a handler may return.
