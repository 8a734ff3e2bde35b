//! Steward: a gateway for delegated management.
//!
//! The map of the crate stands in `docs/ARCHITECTURE.md`. Arrows point one way:
//! `ids arm clock` ← `delegation identity` ← `directory` ← `policy store` ← `pipeline` ← `bodies` ← `forward management record` ←
//! `server admin` ← `cli`. The demo issuer and the mock resource manager stand apart: they use `ids`, `arm`, `clock` and
//! `https`, and the gateway reaches them over real TLS connections as it would reach a stranger's.

pub mod admin;
pub mod arm;
pub mod bodies;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delegation;
pub mod demo;
pub mod directory;
pub mod files;
pub mod form;
pub mod forward;
pub mod front;
#[doc(hidden)]
pub mod fuzzing;
pub mod held;
pub mod https;
pub mod identity;
pub mod ids;
pub mod issuer;
pub mod json;
pub mod management;
pub mod odata;
pub mod pace;
pub mod panics;
pub mod pipeline;
pub mod policy;
pub mod portal;
pub mod record;
pub mod rejection;
pub mod resource_manager;
pub mod server;
pub mod service;
mod shares;
pub mod shown;
pub mod sign_up;
pub mod spf;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod tenure;
pub mod tls;
pub mod vmm;
pub mod webhook;
