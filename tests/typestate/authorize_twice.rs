//! A stage consumes the one before: a denied request is gone, and cannot be asked about again.

use steward::pipeline::{Authorized, Context, Scoped};

fn cheat(scoped: Scoped, context: &Context<'_>, generous: &Context<'_>) -> Option<Authorized> {
    let denied = scoped.authorize(context);
    denied.or_else(|_| scoped.authorize(generous)).ok()
}

fn main() {}
