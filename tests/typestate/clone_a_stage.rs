//! A decision is for one request: no stage can be copied and used again.

use steward::pipeline::{Authenticated, Authorized, Forwardable, ManagementRequest, Outbound, Scoped};

fn is_clone<T: Clone>() {}

fn main() {
    is_clone::<ManagementRequest>();
    is_clone::<Authenticated>();
    is_clone::<Scoped>();
    is_clone::<Authorized>();
    is_clone::<Forwardable>();
    is_clone::<Outbound>();
}
