//! Why a file cannot be opened or written, found out without opening it.
//!
//! POSIX drops all locks that a process holds on a file as soon as the process closes any descriptor of that file,
//! whoever opened it. SQLite's locks are such locks: if anything but SQLite opened the file, even for a moment, every
//! other connection of the process would go on without its lock, and the next process that closes the file would take
//! the write-ahead log away from under it. So this module asks for metadata and permissions alone.

use std::{io, path::Path};

use jobs_core::StoreError;

/// Why SQLite did not open or write the file at `path`, if the file or its directory shows it.
pub(crate) fn explain(path: &Path) -> Option<StoreError> {
    let location = path.display().to_string();
    if path.is_dir() {
        return Some(StoreError::Foreign { location, message: "it is a directory".to_owned() });
    }
    if !directory(path).is_dir() {
        return Some(StoreError::BadUrl {
            url: format!("sqlite://{location}"),
            message: "its directory does not exist; make it, or choose another place".to_owned(),
        });
    }
    let error = check_write(path).err()?;
    Some(StoreError::ReadOnly { location, message: error.to_string() })
}

/// Whether this process may write the file, and make files beside it: SQLite keeps its log there.
fn check_write(path: &Path) -> io::Result<()> {
    if path.exists() {
        may_write(path)?;
    }
    may_write(directory(path))
}

/// The directory that a file is in.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn may_write(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(path, Access::WRITE_OK)?)
}

#[cfg(not(unix))]
fn may_write(path: &Path) -> io::Result<()> {
    match path.metadata()?.permissions().readonly() {
        true => Err(io::ErrorKind::PermissionDenied.into()),
        false => Ok(()),
    }
}
