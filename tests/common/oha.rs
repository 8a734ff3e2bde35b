//! Where `oha` is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `oha`, which tests/run installs below the target folder.
pub fn oha() -> PathBuf {
    let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools/bin/oha");
    if installed.exists() {
        return installed;
    }
    let in_path = Command::new("oha").arg("--version").stdout(Stdio::null()).status();
    assert!(
        in_path.is_ok_and(|status| status.success()),
        "oha is needed for load: `cargo install --locked oha --root target/tools`, or have it in PATH"
    );
    "oha".into()
}
