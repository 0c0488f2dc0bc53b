//! Where the file is: whether it is still the one that was opened, and whether its file system can be trusted.

use std::path::{Path, PathBuf};

use jobs_core::{StoreError, notice};

use crate::fault::{Done, Fault};

/// The file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    identity: Option<Identity>,
}

/// What tells a file from another one at the same path.
type Identity = (u64, u64);

impl Place {
    /// The file that is there now.
    pub(crate) fn now(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }

    /// Whether the file was deleted or replaced: what is written to it then goes nowhere.
    pub(crate) fn check(&self) -> Done<()> {
        match (self.identity, identity(&self.path)) {
            (Some(opened), Some(found)) if opened == found => Ok(()),
            (None, _) => Ok(()),
            (Some(_), found) => {
                let what = if found.is_some() { "replaced by another one" } else { "deleted" };
                let path = self.path.display();
                let message =
                    format!("the file {path} was {what} while it was open; put it back, or start anew");
                Err(Fault::Told(StoreError::Unreachable { message }))
            }
        }
    }

    /// Whether there is another file now, which can be opened instead.
    pub(crate) fn is_replaced(&self) -> bool {
        let found = identity(&self.path);
        self.identity.is_some() && found.is_some() && found != self.identity
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let file = path.metadata().ok()?;
    Some((file.dev(), file.ino()))
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
}

/// File systems over a network: their locks and shared memory are not those that SQLite needs.
const REMOTE: [&str; 11] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
];

/// Warns if the file is on a file system over a network.
pub(crate) fn warn_if_remote(path: &Path) {
    let Ok(path) = path.canonicalize() else { return };
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return };
    if let Some(kind) = file_system(&mounts, &path).filter(|kind| REMOTE.contains(kind)) {
        let path = path.display();
        let text = format!(
            "the store's file {path} is on a network file system ({kind}), on which SQLite loses data when several \
             machines use it; put it on a local disk, or use a store for several machines"
        );
        notice::warn("sqlite-network", text);
    }
}

/// The type of the file system that a path is on, by the kernel's table of mounts.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    // Of two mounts at one point the later one counts.
    let mounted = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?.replace("\\040", " ");
        path.starts_with(&point).then_some((point.len(), kind.split(' ').next()?))
    });
    mounted.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_that_a_path_is_on_is_the_deepest() {
        let mounts = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      30 21 0:40 / /home rw,nosuid shared:1 - nfs4 host:/home rw\n\
                      31 30 0:41 / /home/me/my\\040disk rw - fuse.sshfs me@host: rw\n";
        for (path, kind) in [
            ("/var/jobs.db", "ext4"),
            ("/home/me/jobs.db", "nfs4"),
            ("/home/me/my disk/jobs.db", "fuse.sshfs"),
            ("/homes/jobs.db", "ext4"),
        ] {
            assert_eq!(file_system(mounts, Path::new(path)), Some(kind), "{path}");
        }
    }
}
