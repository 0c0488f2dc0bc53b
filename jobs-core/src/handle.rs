//! The typed name of a job.
