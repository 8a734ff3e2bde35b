//! The files of a policy set: finding, reading, and telling whether they changed.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;

use crate::delegation::SourceLocation;
use crate::policy::diagnostics::Diagnostic;

/// Bytes of one policy file. About 100,000 authorizations; a file beyond that is not a policy file.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Files of one set: a file per customer, with room.
pub const FILES_MAX: usize = 10_000;
/// Folders within folders. A symbolic link to a folder above itself ends here.
const DEPTH_MAX: usize = 16;

/// One policy file in memory.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path for people: the folder as given, then the path below it.
    pub path: Arc<str>,
    /// Path below the folder.
    relative: Box<str>,
    /// The content.
    pub text: Arc<str>,
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// A file of this content, shown to people as `path`.
    #[must_use]
    pub fn new(path: &str, relative: &str, text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, newline)| at + newline.len());
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self { path: path.into(), relative: relative.into(), text: text.into(), line_starts }
    }

    /// Line and column (in characters) of a byte, both from 1.
    #[must_use]
    pub fn location(&self, byte: usize) -> SourceLocation {
        let line = self.line_index(byte);
        let start = self.line_starts.get(line).copied().unwrap_or_default();
        let column = self.text.get(start..byte).map_or(0, |before| before.chars().count());
        let from_one = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
        SourceLocation { file: Arc::clone(&self.path), line: from_one(line), column: from_one(column) }
    }

    /// The whole lines that `range` touches: number of the first (from 1), offset of its first byte, their text.
    #[must_use]
    pub fn lines(&self, range: &Range<usize>) -> (usize, usize, &str) {
        let first = self.line_index(range.start);
        let start = self.line_starts.get(first).copied().unwrap_or_default();
        let end = self.line_starts.get(self.line_index(range.end) + 1).copied().unwrap_or(self.text.len());
        (first + 1, start, self.text.get(start..end).unwrap_or_default())
    }

    fn line_index(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }
}

/// The files of one set, sorted by their path below the folder.
#[derive(Debug, Clone, Default)]
pub struct SourceSet {
    files: Arc<[SourceFile]>,
    folder: PathBuf,
}

impl SourceSet {
    /// A set from memory: paths below `folder` and contents.
    #[must_use]
    pub fn from_texts(folder: &Path, texts: &[(&str, &str)]) -> Self {
        let file = |(relative, text): &(&str, &str)| SourceFile::new(&folder.join(relative).to_string_lossy(), relative, text);
        let mut files: Vec<_> = texts.iter().map(file).collect();
        files.sort_by(|a, b| a.relative.cmp(&b.relative));
        Self { files: files.into(), folder: folder.to_owned() }
    }

    /// Reads all policy files below a folder. What cannot be read is in the second part, the rest in the first.
    #[must_use]
    pub fn read(folder: &Path) -> (Self, Vec<Diagnostic>) {
        let found = find(folder);
        let mut problems = found.problems;
        let mut files = Vec::with_capacity(found.files.len());
        for file in &found.files {
            match read_text(file) {
                Ok(text) => files.push(SourceFile::new(&file.path.to_string_lossy(), &file.relative, &text)),
                Err(problem) => problems.push(*problem),
            }
        }
        (Self { files: files.into(), folder: folder.to_owned() }, problems)
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The folder that paths inside the files are relative to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `sha256:` and the hexadecimal digest over paths below the folder and contents, each with its length before it.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in self.files.iter().flat_map(|file| [&*file.relative, &*file.text]) {
            // The length keeps `a` + `bc` apart from `ab` + `c`.
            context.update(&part.len().to_le_bytes());
            context.update(part.as_bytes());
        }
        let hexadecimal: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hexadecimal}")
    }
}

/// What files there are, how long and how old; equal while nobody touched them.
#[derive(Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Fingerprint {
    /// Looks at a folder without reading its files.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(find(folder).files.into_iter().map(|file| (file.path, file.metadata.len(), file.metadata.modified().ok())).collect())
    }
}

struct Found {
    path: PathBuf,
    relative: String,
    metadata: Metadata,
}

#[derive(Default)]
struct Findings {
    files: Vec<Found>,
    problems: Vec<Diagnostic>,
}

fn find(folder: &Path) -> Findings {
    let mut findings = Findings::default();
    visit(folder, "", 0, &mut findings);
    if findings.files.len() > FILES_MAX {
        findings
            .problems
            .push(Diagnostic::error("folder.files", format!("`{}` holds more than {FILES_MAX} policy files", folder.display())));
        findings.files.clear();
    }
    findings
}

fn visit(folder: &Path, relative: &str, depth: usize, findings: &mut Findings) {
    if depth > DEPTH_MAX {
        let message = format!("`{}` lies more than {DEPTH_MAX} folders deep; is it a link to a folder above itself?", folder.display());
        return findings.problems.push(Diagnostic::error("folder.depth", message));
    }
    let names = match sorted_names(folder) {
        Ok(names) => names,
        Err(cause) => {
            let message = format!("cannot read the folder `{}`: {cause}", folder.display());
            return findings.problems.push(Diagnostic::error("folder.unreadable", message));
        }
    };
    for name in names {
        if findings.files.len() > FILES_MAX {
            return;
        }
        let path = folder.join(&name);
        let name = name.to_string_lossy();
        let below = if relative.is_empty() { name.into_owned() } else { format!("{relative}/{name}") };
        // `metadata` follows links: Kubernetes mounts every file as a link to `..data/`.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => visit(&path, &below, depth + 1, findings),
            Ok(metadata) if is_policy(&below) => findings.files.push(Found { path, relative: below, metadata }),
            Ok(_) => {}
            Err(cause) if is_policy(&below) => findings.problems.push(unreadable(&path, &cause)),
            Err(_) => {}
        }
    }
}

/// Names beginning with a dot are left out: they belong to editors, version control and Kubernetes' `..data`.
fn sorted_names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_policy(name: &str) -> bool {
    name.ends_with(".toml") && !name.ends_with("_test.toml")
}

fn read_text(file: &Found) -> Result<String, Box<Diagnostic>> {
    if !file.metadata.is_file() {
        return Err(Diagnostic::error("file.unreadable", format!("`{}` is not a regular file", file.path.display())).into());
    }
    if file.metadata.len() > FILE_BYTES_MAX {
        let message = format!("`{}` has {} bytes; allowed: {FILE_BYTES_MAX}", file.path.display(), file.metadata.len());
        return Err(Diagnostic::error("file.size", message).into());
    }
    fs::read_to_string(&file.path).map_err(|cause| unreadable(&file.path, &cause).into())
}

fn unreadable(path: &Path, cause: &io::Error) -> Diagnostic {
    Diagnostic::error("file.unreadable", format!("cannot read `{}`: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let file = SourceFile::new("a.toml", "a.toml", "é = 1\nbé = 2\n");
        let at = |byte| (file.location(byte).line, file.location(byte).column);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(10), (2, 3));
        assert_eq!(at(16), (3, 1));
        assert_eq!(file.lines(&(8..9)), (2, 7, "bé = 2\n"));
    }

    #[test]
    fn the_digest_depends_on_names_and_contents_but_not_on_the_folder() {
        let digest = |folder: &str, texts: &[(&str, &str)]| SourceSet::from_texts(Path::new(folder), texts).digest();
        let one = digest("x", &[("a.toml", "bc"), ("d.toml", "")]);
        assert_eq!(one, digest("y/z", &[("d.toml", ""), ("a.toml", "bc")]));
        assert_ne!(one, digest("x", &[("a.tomlb", "c"), ("d.toml", "")]));
        assert!(one.starts_with("sha256:") && one.len() == 7 + 64, "{one}");
    }

    #[track_caller]
    fn check_problem(prepare: impl FnOnce(&Path), expected: &str) {
        let folder = std::env::temp_dir().join(format!("steward-source-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        prepare(&folder);
        let (_, problems) = SourceSet::read(&folder);
        let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        assert_eq!(codes, [expected], "{problems:?}");
    }

    #[test]
    fn what_cannot_be_read_is_reported() {
        use std::os::unix::fs::symlink;
        check_problem(|folder| fs::remove_dir(folder).unwrap(), "folder.unreadable");
        check_problem(|folder| symlink(folder, folder.join("round")).unwrap(), "folder.depth");
        check_problem(|folder| symlink("nowhere", folder.join("a.toml")).unwrap(), "file.unreadable");
        check_problem(|folder| fs::write(folder.join("a.toml"), b"a = \"\xff\"").unwrap(), "file.unreadable");
        check_problem(|folder| fs::File::create(folder.join("a.toml")).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap(), "file.size");
        let write = |folder: &Path| (0..=FILES_MAX).for_each(|number| fs::write(folder.join(format!("{number}.toml")), "").unwrap());
        check_problem(write, "folder.files");
    }

    #[test]
    fn editors_files_policy_tests_and_other_kinds_are_left_out() {
        for (name, expected) in [("a.toml", true), ("a_test.toml", false), ("a.json", false), ("customers/b.toml", true)] {
            assert_eq!(is_policy(name), expected, "{name}");
        }
    }
}
