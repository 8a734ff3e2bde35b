//! Without a scope there is nothing to authorize.

use steward::pipeline::{Authenticated, Authorized, Context, Refused};

fn cheat(authenticated: Authenticated, context: &Context<'_>) -> Result<Authorized, Refused> {
    authenticated.authorize(context)
}

fn main() {}
