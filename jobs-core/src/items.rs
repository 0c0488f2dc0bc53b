//! What a query may return.
