//! HTTP/2 and HPACK, case by case, as `h2spec` groups them: what a client may do is served, and what it may not do is answered with the
//! error that the standard names. The library closes some connections with the general `PROTOCOL_ERROR` where the standard names a special code,
//! which `h2spec` lets pass as well; those are counted apart. Source: RFC 9113, RFC 7541; h2spec 2.6.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own, which prints how many cases there are"
)]

#[expect(dead_code, reason = "the same tools serve the tests of the gateway, which ask in more ways")]
#[path = "common/mod.rs"]
mod common;

#[expect(dead_code, reason = "the same frames serve the tests of threats, which begin in other ways")]
#[path = "common/frames.rs"]
mod frames;

#[path = "conformance/case.rs"]
mod case;

#[path = "conformance/generic.rs"]
mod generic;
#[path = "conformance/hpack.rs"]
mod hpack;
#[path = "conformance/http2.rs"]
mod http2;

use case::{Case, Gateway, Heard};

type Section = (&'static str, fn(&Gateway) -> Vec<Case>);

/// The sections of `h2spec`, with the number of its cases in each that are here.
const SECTIONS: &[&[Section]] = &[generic::SECTIONS, http2::SECTIONS, hpack::SECTIONS];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_http2_and_hpack_is_answered_as_the_standard_says() {
    let gateway = Gateway::start().await;
    let (mut heard, mut wrong) = (Vec::new(), Vec::new());
    for (section, make) in SECTIONS.iter().copied().flatten() {
        let seen = gateway.try_all(make(&gateway)).await;
        println!("{section}: {} cases", seen.len());
        for case in seen {
            match case {
                Ok(case) => heard.push(case),
                Err(fault) => wrong.push(format!("{section}: {fault}")),
            }
        }
    }
    gateway.front.drain().await;
    let count = |of: Heard| heard.iter().filter(|case| **case == of).count();
    let told = format!(
        "{} cases in {} sections: {} as the standard says, {} closed with the general code in place of a special one, {} overlooked, {} wrong",
        heard.len() + wrong.len(),
        SECTIONS.iter().copied().flatten().count(),
        count(Heard::Exact),
        count(Heard::General),
        count(Heard::Overlooked),
        wrong.len()
    );
    println!("{told}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(include_str!("../SECURITY.md").contains(&told), "SECURITY.md says something else than: {told}");
}
