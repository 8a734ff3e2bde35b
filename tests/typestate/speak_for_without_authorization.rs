//! The gateway's voice is given to authorized requests only.

use steward::pipeline::{Context, Forwardable, Refused, Scoped};

fn cheat(scoped: Scoped, context: &Context<'_>) -> Result<Forwardable, Refused> {
    scoped.on_behalf(context)
}

fn main() {}
