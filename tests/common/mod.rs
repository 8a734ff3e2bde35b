//! What tests of a whole gateway share. Nothing here decides what is right: it starts, asks and shows.

pub mod backend;
pub mod client;
pub mod folders;
pub mod installation;
pub mod receiver;
pub mod signer;
