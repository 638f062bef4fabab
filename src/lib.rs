//! agentctl: an agent shell for the terminal that acts as you, and asks you first.
//!
//! The modules stand in reading order, floor by floor: each may use what stands above it in this list, never what stands
//! below (docs/architecture.md has the table, `tests/it/tidy.rs` holds it).

// Ground: what every floor needs.
pub mod call;
pub mod clock;
pub mod echo;
pub mod escape;
pub mod event;
pub mod files;
pub mod json;
pub mod money;
pub mod secret;
pub mod still;

// Wire: bytes to values, no decisions.
pub mod fga;
pub mod http;
pub mod model;
pub mod oauth;

// Keeping: what lasts.
pub mod config;
pub mod store;

// Identity.
pub mod session;

// Permission: what is asked, and who says yes.
pub mod approval;
pub mod guard;
pub mod policy;

// Action.
pub mod agent;
pub mod dispatch;
pub mod proof;
pub mod tool;

// Doors.
pub mod cli;
pub mod dev;
