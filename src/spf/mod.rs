//! Service Provider Foundation: what its three services offer, as OData.
//!
//! Never: a property that the private cloud has nothing to fill with; a decision.

pub mod model;
