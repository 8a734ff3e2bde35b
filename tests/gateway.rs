//! The gateway over TLS, as clients and backends see it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[expect(dead_code, reason = "the same backend serves the tests of threats, where it does worse")]
#[path = "common/mod.rs"]
mod common;

#[expect(dead_code, reason = "the same frames serve the tests of threats, which send more kinds of them")]
#[path = "common/frames.rs"]
mod frames;

#[path = "gateway/activity_log.rs"]
mod activity_log;

#[path = "gateway/agreements.rs"]
mod agreements;

#[path = "gateway/auxiliary.rs"]
mod auxiliary;

#[path = "gateway/batch.rs"]
mod batch;

#[path = "gateway/bodies.rs"]
mod bodies;

#[path = "gateway/coverage.rs"]
mod coverage;

#[path = "gateway/deployments.rs"]
mod deployments;
#[path = "gateway/graph.rs"]
mod graph;

#[path = "gateway/openapi.rs"]
mod openapi;
#[path = "gateway/own_api.rs"]
mod own_api;

#[path = "gateway/refusals.rs"]
mod refusals;
#[path = "gateway/wire.rs"]
mod wire;

#[path = "gateway/planes.rs"]
mod planes;

#[path = "gateway/forwarding.rs"]
mod forwarding;

#[path = "gateway/limits.rs"]
mod limits;

#[path = "gateway/linked.rs"]
mod linked;
#[path = "gateway/load.rs"]
mod load;

#[path = "gateway/moves.rs"]
mod moves;

#[path = "gateway/matrix.rs"]
mod matrix;

#[path = "gateway/panics.rs"]
mod panics;
#[path = "gateway/private_cloud.rs"]
mod private_cloud;
#[path = "gateway/prober.rs"]
mod prober;

#[path = "gateway/records.rs"]
mod records;

#[path = "gateway/upstream.rs"]
mod upstream;

#[path = "gateway/terms.rs"]
mod terms;

#[path = "gateway/webhooks.rs"]
mod webhooks;
