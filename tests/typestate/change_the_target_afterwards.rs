//! What was judged is what is sent: nobody can change it in between.

use steward::pipeline::Outbound;

fn cheat(outbound: &mut Outbound) {
    outbound.headers_mut().clear();
    outbound.path = "/subscriptions".parse().unwrap();
}

fn main() {}
