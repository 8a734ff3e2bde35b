//! Only the stage that holds a grant can have an assertion signed.

use steward::pipeline::{AssertionSigner, Context};

fn cheat<W>(signer: &AssertionSigner, whom: &W, context: &Context<'_>) {
    let _value = signer.assertion(whom, context);
}

fn main() {}
