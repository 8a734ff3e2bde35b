//! Which mutants the tests notice.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::build;
use crate::instrument::Left;
use crate::list::Mutant;
use crate::outcome::{Outcome, Outcomes};
use crate::suite::{Ran, Reach, Suites, Test, Worker};
use crate::tree::Tree;
use crate::{read, write};

/// Tried before the others, and then four times as many: the tests that come by the fewest mutants know most about one.
const FIRST: usize = 8;

/// Among those, tests that take longer come last.
const SLOW_MILLIS: u64 = 1_000;

/// What the tests of a mutant may take together, by themselves, in a quick run.
const QUICK_MILLIS: u64 = 15_000;

/// A suite whose tests take longer by themselves is not run anew whenever the program changed.
const LONG_MILLIS: u64 = 60_000;

/// How often it is said how far things are.
const SAID_EVERY: usize = 100;

/// How many tests a mutant has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// Some seconds of those that know most about it.
    Quick,
    /// All that come by it.
    Full,
}

type Reaches = Vec<(Test, Reach)>;

pub struct Judge<'a> {
    pub mutants: &'a [Mutant],
    /// Where results are kept.
    pub kept: &'a Path,
    pub thoroughness: Thoroughness,
}

impl Judge<'_> {
    /// Those that stand in one program.
    ///
    /// # Errors
    ///
    /// A test cannot be started, or a result not kept.
    pub fn all(&self, suites: &Suites, wanted: &[usize], outcomes: Outcomes) -> Result<Outcomes, String> {
        let reaches = self.reaches(suites)?;
        let (outcomes, done) = (Mutex::new(outcomes), AtomicUsize::new(0));
        in_parallel(wanted.len(), |worker, index| {
            let number = wanted[index];
            let outcome = self.one(suites, &Worker::new(self.kept, worker), number, &reaches);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if !outcome.is_settled() || done.is_multiple_of(SAID_EVERY) {
                println!("{done} of {}: {}: {outcome:?}", wanted.len(), self.mutants[number].name);
            }
            self.keep(&mut outcomes.lock().unwrap_or_else(PoisonError::into_inner), number, outcome)
        })?;
        Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that only a build of their own can have: the library's tests first, for the others take longer to build than to run.
    ///
    /// # Errors
    ///
    /// As [`Self::all`].
    pub fn each_alone(&self, tree: &Tree, left: &Left, wanted: &[usize], mut outcomes: Outcomes) -> Result<Outcomes, String> {
        for (index, number) in wanted.iter().enumerate() {
            let left = Left { real: Some(*number), ..left.clone() };
            tree.write(self.mutants, &left)?;
            let outcome = self.alone(tree, *number)?;
            println!("{} of {} apart: {}: {outcome:?}", index + 1, wanted.len(), self.mutants[*number].name);
            self.keep(&mut outcomes, *number, outcome)?;
        }
        Ok(outcomes)
    }

    fn keep(&self, outcomes: &mut Outcomes, number: usize, outcome: Outcome) -> Result<(), String> {
        outcomes.insert(self.mutants[number].key.clone(), outcome);
        write(&self.kept.join("outcomes.json"), outcomes)
    }

    fn one(&self, suites: &Suites, worker: &Worker, number: usize, reaches: &Reaches) -> Outcome {
        let key = &self.mutants[number].key;
        let mut tests: Vec<&(Test, Reach)> = reaches.iter().filter(|(_, reach)| reach.mutants.contains(key)).collect();
        if tests.is_empty() {
            return Outcome::Unreached;
        }
        tests.sort_by_key(|(_, reach)| (reach.millis > SLOW_MILLIS, reach.mutants.len(), reach.millis));
        if self.thoroughness == Thoroughness::Quick {
            tests = within(QUICK_MILLIS, tests);
        }
        let (first, rest) = tests.split_at(tests.len().min(FIRST));
        let (second, rest) = rest.split_at(rest.len().min(4 * FIRST));
        judged(suites, worker, [first, second, rest], number)
    }

    fn alone(&self, tree: &Tree, number: usize) -> Result<Outcome, String> {
        for suites in [&[], build::SUITES.as_slice()] {
            let Ok(programs) = build::tests(tree, suites) else { return Ok(Outcome::Unviable) };
            let suites = Suites::new(programs, &tree.folder);
            let guess = Reach { millis: SLOW_MILLIS, built: 0, mutants: HashSet::new() };
            let all: Reaches = suites.tests()?.into_iter().map(|test| (test, guess.clone())).collect();
            let outcome = judged(&suites, &Worker::new(self.kept, 0), [&all.iter().collect::<Vec<_>>()], number);
            if outcome != Outcome::Survived {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Survived)
    }

    /// What each test comes by: those of which it is not known are run. After a change of the program the quick suites are run again; of the others
    /// only tests with new names.
    fn reaches(&self, suites: &Suites) -> Result<Reaches, String> {
        let path = self.kept.join("reach.json");
        let known: Reaches = read(&path);
        let all = suites.tests()?;
        let mut millis = HashMap::<String, u64>::new();
        known.iter().for_each(|(test, reach)| *millis.entry(test.suite.clone()).or_default() += reach.millis);
        // The library's tests know most about what is new.
        let is_long = |suite: &str| suite != build::LIBRARY && millis.get(suite).is_some_and(|sum| *sum > LONG_MILLIS);
        let holds =
            |(test, reach): &(Test, Reach)| all.contains(test) && (reach.built == suites.built(&test.suite) || is_long(&test.suite));
        let known: HashMap<Test, Reach> = known.into_iter().filter(holds).collect();
        let missing: Vec<&Test> = all.iter().filter(|test| !known.contains_key(*test)).collect();
        println!("{} tests, of which {} are new", all.len(), missing.len());
        let found = Mutex::new(known);
        in_parallel(missing.len(), |worker, index| {
            let test = missing[index];
            let Some((took, numbers)) = suites.reach(&Worker::new(self.kept, worker), test) else {
                println!("{}: {} fails by itself and judges nothing", test.suite, test.name);
                return Ok(());
            };
            let mutants = numbers.into_iter().filter_map(|number| self.mutants.get(number)).map(|mutant| mutant.key.clone()).collect();
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(test.clone(), Reach { millis, built: suites.built(&test.suite), mutants });
            write(&path, &found.iter().collect::<Vec<_>>())
        })?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect())
    }
}

fn judged<const ROUNDS: usize>(suites: &Suites, worker: &Worker, rounds: [&[&(Test, Reach)]; ROUNDS], number: usize) -> Outcome {
    for tests in rounds {
        match suites.judge(worker, tests, number) {
            Ran::Passed => {}
            Ran::Failed(by) => return Outcome::Caught(by),
            Ran::TimedOut => return Outcome::TimedOut,
        }
    }
    Outcome::Survived
}

fn within(mut millis: u64, tests: Vec<&(Test, Reach)>) -> Vec<&(Test, Reach)> {
    let mut fits = |(_, reach): &(Test, Reach)| {
        let rest = millis.checked_sub(reach.millis);
        millis = rest.unwrap_or(millis);
        rest.is_some()
    };
    tests.into_iter().filter(|test| fits(test)).collect()
}

/// Calls with the number of the worker and each index once.
fn in_parallel(count: usize, work: impl Fn(usize, usize) -> Result<(), String> + Sync) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let one = |worker: usize| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            work(worker, index)?;
        }
    };
    let one = &one;
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let handles: Vec<_> = (0..workers).map(|worker| scope.spawn(move || one(worker))).collect();
        handles.into_iter().try_for_each(|handle| handle.join().unwrap_or_else(|_| Err("a worker panicked".to_owned())))
    })
}
