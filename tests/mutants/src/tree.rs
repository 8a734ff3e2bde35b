//! The copy of the product that is mutated.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::instrument::{self, Left, Source};
use crate::list::Mutant;

const SWITCH: &str = include_str!("switch.rs");

/// What the compiler would see in some mutant; a run sees it as well.
const ALLOWED: &str = "#![allow(warnings, arithmetic_overflow, unconditional_panic)]";

pub struct Tree {
    root: PathBuf,
    kept: PathBuf,
    pub folder: PathBuf,
}

/// Where the mutants stand, by file.
pub type Ranges = std::collections::HashMap<String, Vec<(usize, std::ops::Range<usize>)>>;

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    pub ranges: Ranges,
    pub no_place: HashSet<usize>,
    pub alone: HashSet<usize>,
}

impl Tree {
    /// Below `target/mutants`.
    ///
    /// # Errors
    ///
    /// That cannot be made.
    pub fn new(root: &Path) -> Result<Self, String> {
        let kept = root.join("target/mutants");
        fs::create_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        Ok(Self { root: root.to_path_buf(), folder: kept.join("tree"), kept })
    }

    /// Where results are kept.
    pub fn kept(&self) -> &Path {
        &self.kept
    }

    /// Copies every file that git knows or would take; those of `src` get their mutants.
    ///
    /// # Errors
    ///
    /// A file cannot be read, written or parsed.
    pub fn write(&self, mutants: &[Mutant], left: &Left) -> Result<Written, String> {
        let mut written = Written::default();
        for file in self.files()? {
            let bytes = fs::read(self.root.join(&file)).map_err(|error| format!("{file}: {error}"))?;
            let bytes = match file.as_str() {
                "Cargo.toml" => without_lints(&String::from_utf8_lossy(&bytes)).into_bytes(),
                _ if file.starts_with("src/") && file.ends_with(".rs") => {
                    let text = String::from_utf8(bytes).map_err(|error| format!("{file}: {error}"))?;
                    self.source(&file, &text, mutants, left, &mut written)?.into_bytes()
                }
                _ => bytes,
            };
            self.put(&file, &bytes)?;
        }
        self.put("src/mutants_switch.rs", SWITCH.as_bytes())?;
        Ok(written)
    }

    fn source(&self, file: &str, text: &str, mutants: &[Mutant], left: &Left, written: &mut Written) -> Result<String, String> {
        let own = mutants.iter().enumerate().filter(|(_, mutant)| mutant.file == file).collect();
        let mut done = instrument::instrument(&Source { text, mutants: own }, left).map_err(|error| format!("{file}: {error}"))?;
        written.no_place.extend(done.no_place);
        written.alone.extend(done.alone);
        written.ranges.insert(file.to_owned(), done.ranges);
        if file == "src/lib.rs" {
            done.text = format!("{ALLOWED}\n{}\npub mod mutants_switch;\n", done.text);
        }
        Ok(done.text)
    }

    fn files(&self) -> Result<Vec<String>, String> {
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let files = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
        Ok(files.into_iter().filter(|file| self.root.join(file).is_file()).collect())
    }

    /// A file that stays the same keeps its time, and with it what was built of it.
    fn put(&self, file: &str, bytes: &[u8]) -> Result<(), String> {
        let path = self.folder.join(file);
        if fs::read(&path).is_ok_and(|present| present == bytes) {
            return Ok(());
        }
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, bytes).map_err(failed)?;
        let mode = fs::metadata(self.root.join(file)).map(|original| original.permissions());
        mode.map_or(Ok(()), |mode| fs::set_permissions(&path, mode)).map_err(failed)
    }
}

/// What is made by a machine need not be tidy.
fn without_lints(manifest: &str) -> String {
    let mut kept = true;
    let mut text = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            kept = !line.starts_with("[lints");
        }
        if kept {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}
