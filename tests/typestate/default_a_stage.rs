//! No stage comes out of nothing.

use steward::pipeline::{Authenticated, Authorized, Forwardable, ManagementRequest, Outbound, Scoped};

fn is_default<T: Default>() {}

fn main() {
    is_default::<ManagementRequest>();
    is_default::<Authenticated>();
    is_default::<Scoped>();
    is_default::<Authorized>();
    is_default::<Forwardable>();
    is_default::<Outbound>();
}
