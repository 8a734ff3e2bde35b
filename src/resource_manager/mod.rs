//! The mock resource manager.
