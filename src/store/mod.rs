//! What lasts: credentials (keyring, sealed file or memory), the journal, the audit log, and the locks and keys they need.

pub mod audit;
pub mod credentials;
pub mod journal;
pub mod lock;
pub mod seal;
pub mod sealed;
pub mod stop;
pub mod tokens;

mod file;
mod keyring;
mod split;
