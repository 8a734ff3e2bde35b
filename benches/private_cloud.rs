//! What a tenant's list of a hundred machines costs when the fabric has 25,000 machines on five stamps, against one with 250: the same in both, for
//! whatever is asked for is found by its owner.
//!
//! Both worlds run in this process as they would for a user (gateway, interfaces, assertion, records, fabric over TLS, state on the disk) and are
//! asked turn about, over the management plane and as OData. What is told are medians and their ratio; the best of the turns judges, because other work
//! on the machine makes a turn longer and never shorter.
//!
//! Run it with `cargo bench --bench private_cloud`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a program for developers"
)]

#[path = "../tests/common/client.rs"]
#[allow(
    dead_code,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "shared with the tests, which use more of it"
)]
mod client;
#[path = "../tests/common/signer.rs"]
#[allow(
    dead_code,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "shared with the tests, which use more of it"
)]
mod signer;

#[path = "private_cloud/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use world::World;

/// Asked for in each way and world.
const TURNS: usize = 200;
/// Before anything is measured.
const WARM_UP: usize = 20;
/// Source: the aim that this project has set itself.
const RATIO_MAX: f64 = 1.5;

#[tokio::main]
async fn main() -> ExitCode {
    let (few, many) = (World::start("few", 250).await, World::start("many", 25_000).await);
    let mut is_fast = true;
    for way in ["management plane", "odata"] {
        let mut took = [Vec::new(), Vec::new()];
        for turn in 0..WARM_UP + TURNS {
            for (world, took) in [&few, &many].into_iter().zip(&mut took) {
                let began = Instant::now();
                world.list(way).await;
                if turn >= WARM_UP {
                    took.push(began.elapsed());
                }
            }
        }
        is_fast &= tell(way, took);
    }
    if is_fast { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(way: &str, mut took: [Vec<Duration>; 2]) -> bool {
    took.iter_mut().for_each(|took| took.sort_unstable());
    let [few, many] = &took;
    let median = |took: &[Duration]| took[took.len() / 2];
    let ratio = |of: fn(&[Duration]) -> Duration| of(many).as_secs_f64() / of(few).as_secs_f64();
    let by_median = ratio(|took| took[took.len() / 2]);
    let by_best = ratio(|took| took[0]);
    println!(
        "{way}: a hundred machines of 250 in {:.2?}, of 25,000 in {:.2?}; ratio of medians {by_median:.2}, of the best {by_best:.2} (at most {RATIO_MAX})",
        median(few),
        median(many)
    );
    by_best <= RATIO_MAX
}
