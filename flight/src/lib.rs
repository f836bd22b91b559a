//! The Arrow Flight SQL door, and nothing else: gRPC calls whose rows are Arrow record batches on both ends. Everything
//! that a statement means is in `tarn_sql`; here it is commands, handles and streams. The door must never know the
//! catalog, the query engine or the store, and of the process only what `host.rs` names.
//!
//! ```text
//!  network runtime                                           statement runtime
//!  serve.rs     connections -> calls
//!  service.rs   call -> who (login.rs), what (command.rs)
//!    query.rs, prepared.rs, update.rs, ingest.rs, metadata/  ------->  lane.rs  one statement at a time -> Session
//!    info.rs    what there will be: a schema and a ticket
//!    encode.rs  frames  <------------------------------------ rows, batch by batch
//! ```
//!
//! A connection of gRPC is no session. A session begins with a login and is named by the token that the login gives;
//! `guest.rs` is its state, `guests.rs` all of them. What a client is handed to name a statement, a transaction or a
//! result (`handle.rs`) can be made by this server alone and used in its own session alone.

mod host;
mod serve;
mod service;

mod command;
mod handle;
mod login;

mod guest;
mod guests;
mod lane;

mod action;
mod ingest;
mod metadata;
mod options;
mod parameters;
mod prepared;
mod query;
mod transaction;
mod update;

mod encode;
mod info;
mod status;

pub use host::{Ending, Host, Seat, Watch};
pub use serve::{Door, Peer, Wire};
