//! Over a folder that each test makes.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::{Ran, example, run};

fn backup(from: &Path, to: &Path) -> Ran {
    run(example("backup").arg(from).arg(to))
}

fn decompressed(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The files below a folder, by their names, without the store.
fn names(folder: &Path) -> Vec<String> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let is_store = |entry: &walkdir::DirEntry| entry.file_name().to_string_lossy().starts_with("backup.db");
    let files = files.filter(|entry| entry.file_type().is_file() && !is_store(entry));
    files.map(|entry| entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_file_is_there_again_whole_with_its_checksum() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(from.path().join("deep/er")).unwrap();
    let long: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let files = [("a.txt", &b"hello"[..]), ("deep/b", &long), ("deep/er/empty", b"")];
    for (name, bytes) in files {
        fs::write(from.path().join(name), bytes).unwrap();
    }
    for _ in 0..2 {
        let ran = backup(from.path(), to.path());
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(0), "3 files: 3 saved, 0 left out, 0 failed\n"),
            "{ran:?}"
        );
        for (name, bytes) in files {
            assert_eq!(decompressed(&to.path().join(format!("{name}.gz"))), bytes, "{name}");
            let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let recorded = fs::read_to_string(to.path().join(format!("{name}.sha256"))).unwrap();
            assert_eq!(recorded, format!("{sum}  {name}\n"));
        }
        // No temporary file is left, and the second time changes nothing.
        assert_eq!(names(to.path()).len(), 6);
    }
}

#[test]
fn a_backup_inside_its_own_folder_is_not_backed_up() {
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("a"), "a").unwrap();
    for _ in 0..2 {
        assert_eq!(backup(from.path(), &from.path().join("out")).code, Some(0));
    }
    assert_eq!(names(from.path()), ["a", "out/a.gz", "out/a.sha256"]);
}

#[test]
fn what_cannot_be_saved_fails_alone_and_with_its_path() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("good"), "good").unwrap();
    fs::write(from.path().join("bad"), "bad").unwrap();
    // A folder stands where the file is to go: that fails for root too.
    fs::create_dir(to.path().join("bad.gz")).unwrap();
    let ran = backup(from.path(), to.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("2 files: 1 saved, 0 left out, 1 failed\n"), "{ran:?}");
    let path = from.path().canonicalize().unwrap().join("bad");
    assert!(ran.stdout.contains(path.to_str().unwrap()), "{ran:?}");
    assert_eq!(names(to.path()), ["good.gz", "good.sha256"]);
}

#[test]
fn every_failure_is_named_however_many_there_are() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for n in 0..150 {
        fs::write(from.path().join(format!("file-{n}")), "text").unwrap();
        fs::create_dir(to.path().join(format!("file-{n}.gz"))).unwrap();
    }
    let ran = backup(from.path(), to.path());
    assert!(ran.stdout.starts_with("150 files: 0 saved, 0 left out, 150 failed\n"), "{ran:?}");
    assert!((0..150).all(|n| ran.stdout.contains(&format!("/file-{n}: "))), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_and_folder_are_failed_items() {
    use std::os::unix::fs::PermissionsExt as _;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (file, folder) = (from.path().join("file"), from.path().join("folder"));
    fs::write(&file, "secret").unwrap();
    fs::create_dir(&folder).unwrap();
    let set = |mode| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0);
    let root = File::open(&file).is_ok();
    let ran = backup(from.path(), to.path());
    set(0o700);
    if root {
        assert_eq!(ran.code, Some(0), "root reads everything: {ran:?}");
        return;
    }
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("2 files: 0 saved, 0 left out, 2 failed\n"), "{ran:?}");
    for path in [&file, &folder] {
        assert!(ran.stdout.contains(path.to_str().unwrap()), "{ran:?}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_left_out_and_a_name_need_not_be_text() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = OsStr::from_bytes(b"na\xffme");
    // Some file systems want text.
    let odd = fs::write(from.path().join(name), "odd").is_ok();
    std::os::unix::fs::symlink("nowhere", from.path().join("link")).unwrap();
    let ran = backup(from.path(), to.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains(", 1 left out, 0 failed"), "{ran:?}");
    if odd {
        assert_eq!(decompressed(&to.path().join(OsStr::from_bytes(b"na\xffme.gz"))), b"odd");
    }
}

#[test]
fn what_is_not_understood_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (args, said) in [
        (&[][..], "backup DIR OUT"),
        (&["a"], "backup DIR OUT"),
        (&["/no/such", "b"], "/no/such is not a folder"),
        (&[folder, folder], "name another OUT"),
    ] {
        let ran = run(example("backup").args(args));
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
}

#[cfg(unix)]
#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    use std::{
        collections::BTreeMap,
        os::unix::fs::MetadataExt as _,
        process::Stdio,
        time::{Duration, Instant},
    };
    const FILES: usize = 1_500;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for n in 0..FILES {
        fs::write(from.path().join(format!("file-{n}")), vec![b'x'; 2_000]).unwrap();
    }
    // A file that is written again is another one.
    let saved = || -> BTreeMap<String, u64> {
        let names = names(to.path()).into_iter().filter(|name| name.ends_with(".gz"));
        names.map(|name| (name.clone(), fs::metadata(to.path().join(name)).unwrap().ino())).collect()
    };
    let mut command = example("backup");
    command.arg(from.path()).arg(to.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while saved().len() < 200 {
        assert!(Instant::now() < deadline, "it saves nothing");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = saved();
    assert!(before.len() < FILES, "it was killed too late to prove anything");

    let ran = backup(from.path(), to.path());
    let all = format!("{FILES} files: {FILES} saved, 0 left out, 0 failed\n");
    assert_eq!((ran.code, &*ran.stdout), (Some(0), &*all), "{ran:?}");
    let after = saved();
    assert_eq!(after.len(), FILES);
    let again = before.iter().filter(|(name, file)| after[*name] != **file).count();
    // Two at a time, and what is done in a commit and the 20 ms before it.
    assert!(again <= 2 + 64, "{again} of {} were saved again", before.len());
}
