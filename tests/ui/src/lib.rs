//! The compile errors of the macros. The tests of this package hold them, one file per mistake.
