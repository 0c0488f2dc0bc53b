//! A query's result page by page.
