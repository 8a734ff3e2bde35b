//! Where tests write.

use std::path::{Path, PathBuf};

/// What cargo set when the tests were built; a variable of the same name moves it, so that one program can run more than once at a time.
pub fn temporary() -> PathBuf {
    std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
}

/// A folder of its own for each name in a suite; what an earlier run left is removed.
pub fn empty_folder(name: &str) -> PathBuf {
    emptied(&temporary().join(env!("CARGO_CRATE_NAME")).join(name))
}

fn emptied(folder: &Path) -> PathBuf {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    std::fs::create_dir_all(folder).unwrap();
    folder.to_path_buf()
}
