//! Runs tests of the copy: each once to see what it comes by, and then those that come by a mutant.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// Beyond what the tests take by themselves.
const GRACE: Duration = Duration::from_secs(20);

/// A mutant that makes everything slow is found by that.
const TIMES_SLOWER: u32 = 5;

/// One test function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Test {
    pub suite: String,
    pub name: String,
}

/// What a test took, and the keys of the mutants that it came by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reach {
    pub millis: u64,
    /// Seconds since 1970: when the program of the test was built.
    #[serde(default)]
    pub built: u64,
    pub mutants: HashSet<String>,
}

/// How a run of some tests went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    Passed,
    Failed(String),
    TimedOut,
}

pub struct Suites {
    programs: HashMap<String, PathBuf>,
    /// Where tests run: the tree.
    folder: PathBuf,
}

/// One of those that run tests at the same time, with a folder for what they write.
#[derive(Debug)]
pub struct Worker(PathBuf);

impl Worker {
    pub fn new(kept: &Path, number: usize) -> Self {
        Self(kept.join(format!("worker-{number}")))
    }
}

impl Suites {
    pub fn new(programs: Vec<(String, PathBuf)>, folder: &Path) -> Self {
        Self { programs: programs.into_iter().collect(), folder: folder.to_path_buf() }
    }

    /// When a suite's program was built, in seconds since 1970.
    pub fn built(&self, suite: &str) -> u64 {
        let modified = self.programs.get(suite).and_then(|program| fs::metadata(program).ok()?.modified().ok());
        modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
    }

    /// Every test function that is not ignored.
    ///
    /// # Errors
    ///
    /// A program cannot be started.
    pub fn tests(&self) -> Result<Vec<Test>, String> {
        let mut tests = Vec::new();
        for suite in self.programs.keys() {
            let output = self.command(suite).args(["--list", "--format", "terse"]).output().map_err(|error| format!("{suite}: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
            tests.extend(names.map(|name| Test { suite: suite.clone(), name: name.to_owned() }));
        }
        tests.sort();
        Ok(tests)
    }

    /// Runs one test and sees which mutants it comes by, by their numbers; `None` where it fails.
    pub fn reach(&self, worker: &Worker, test: &Test) -> Option<(Duration, HashSet<usize>)> {
        let file = &worker.0.with_extension("reached");
        let _ = fs::remove_file(file);
        let started = Instant::now();
        let set = [("STEWARD_MUTANTS_REACHED", file.display().to_string())];
        let ran = self.run(worker, &test.suite, &[test], &set, Duration::from_secs(300));
        let took = started.elapsed();
        let numbers = fs::read_to_string(file).unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect();
        let _ = fs::remove_file(file);
        (ran == Ran::Passed).then_some((took, numbers))
    }

    /// Runs these tests with that mutant, suite by suite, until one fails.
    pub fn judge(&self, worker: &Worker, tests: &[&(Test, Reach)], mutant: usize) -> Ran {
        let mut by_suite = BTreeMap::<&str, (Duration, Vec<&Test>)>::new();
        for (test, reach) in tests {
            let (time, list) = by_suite.entry(&test.suite).or_default();
            *time += Duration::from_millis(reach.millis);
            list.push(test);
        }
        let mut suites: Vec<_> = by_suite.into_iter().collect();
        suites.sort_by_key(|(_, (time, _))| *time);
        let set = [("STEWARD_MUTANT", mutant.to_string())];
        for (suite, (time, tests)) in suites {
            let ran = self.run_twice_what_fails(worker, suite, tests, &set, GRACE + time * TIMES_SLOWER);
            if ran != Ran::Passed {
                return ran;
            }
        }
        Ran::Passed
    }

    /// On a busy machine a test may fail for a deadline of its own: what fails once and not twice does not count, and the others are run.
    fn run_twice_what_fails(&self, worker: &Worker, suite: &str, mut tests: Vec<&Test>, set: &[(&str, String)], time: Duration) -> Ran {
        while !tests.is_empty() {
            let ran = self.run(worker, suite, &tests, set, time);
            let Ran::Failed(by) = &ran else { return ran };
            let (failed, others): (Vec<_>, Vec<_>) = tests.into_iter().partition(|test| *by == said_of(suite, &test.name));
            if failed.is_empty() || self.run(worker, suite, &failed, set, time) != Ran::Passed {
                return ran;
            }
            tests = others;
        }
        Ran::Passed
    }

    fn command(&self, suite: &str) -> Command {
        let mut command = Command::new(&self.programs[suite]);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }

    /// Ends with the first test that fails.
    fn run(&self, worker: &Worker, suite: &str, tests: &[&Test], set: &[(&str, String)], time: Duration) -> Ran {
        let deadline = Instant::now() + time;
        let mut command = self.command(suite);
        command.arg("--exact").args(tests.iter().map(|test| &test.name)).envs(set.iter().map(|(name, value)| (name, value)));
        // What they leave may be as wrong as the mutant.
        let _ = fs::remove_dir_all(&worker.0);
        command.env("CARGO_TARGET_TMPDIR", &worker.0).env("TMPDIR", &worker.0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        if let Err(error) = fs::create_dir_all(&worker.0) {
            return Ran::Failed(format!("{}: {error}", worker.0.display()));
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ran::Failed(format!("{suite} cannot be started: {error}")),
        };
        let ran = follow(&mut child, suite, deadline);
        end(&mut child);
        ran
    }
}

fn said_of(suite: &str, name: &str) -> String {
    format!("{suite}: {name}")
}

fn follow(child: &mut Child, suite: &str, deadline: Instant) -> Ran {
    let Some(stdout) = child.stdout.take() else { return Ran::Failed(format!("{suite} says nothing")) };
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
                    return Ran::Failed(said_of(suite, name));
                }
                if line.starts_with("test result: ok") {
                    return Ran::Passed;
                }
            }
            Err(RecvTimeoutError::Timeout) => return Ran::TimedOut,
            Err(RecvTimeoutError::Disconnected) => return Ran::Failed(format!("{suite} ended early")),
        }
    }
}

/// With all that it has started.
fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
    let _ = child.wait();
}
