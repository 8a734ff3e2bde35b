//! What `machine.c` is told: a full disk, a slow disk, another time of day, for one process alone.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// "No space left on device". Source: Linux, `errno-base.h`.
const ENOSPC: i64 = 28;
/// Where the fields of `struct orders` are.
const CLOCK_AT: u64 = 0;
const ERROR_AT: u64 = 8;
const DELAY_AT: u64 = 16;
const HITS_AT: u64 = 24;
const PATH_AT: u64 = 32;
const ORDERS_BYTES: usize = 32 + 256;

/// The orders of one process.
#[derive(Debug)]
pub struct Machine {
    file: std::fs::File,
    path: PathBuf,
}

impl Machine {
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("machine");
        std::fs::write(&path, [0; ORDERS_BYTES]).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Self { file, path }
    }

    /// Makes a program run on it.
    pub fn carry(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &*LIBRARY).env("STEWARD_TEST_MACHINE", &self.path);
    }

    /// No write to a file with this in its path finds room any more.
    pub fn fill(&self, path: &str) {
        self.mean(path);
        self.order(ERROR_AT, ENOSPC);
    }

    /// Every write and flush of a file with this in its path takes so long.
    pub fn slow(&self, path: &str, delay: Duration) {
        self.mean(path);
        self.order(DELAY_AT, delay.as_millis().try_into().unwrap());
    }

    /// The disk is as it was. How often it was in the way.
    pub fn mend(&self) -> i64 {
        self.order(ERROR_AT, 0);
        self.order(DELAY_AT, 0);
        let mut hits = [0; 8];
        self.file.read_exact_at(&mut hits, HITS_AT).unwrap();
        i64::from_ne_bytes(hits)
    }

    /// Sets the clock so many seconds off.
    pub fn set_clock(&self, seconds: i64) {
        self.order(CLOCK_AT, seconds * 1000);
    }

    fn mean(&self, path: &str) {
        let mut field = path.as_bytes().to_vec();
        field.push(0);
        self.file.write_all_at(&field, PATH_AT).unwrap();
    }

    fn order(&self, at: u64, value: i64) {
        self.file.write_all_at(&value.to_ne_bytes(), at).unwrap();
    }
}

/// The library, compiled by what compiles the C parts of the program's own libraries.
static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/machine.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine.so");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl").output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    library
});
