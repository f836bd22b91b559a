//! The Iceberg REST door over real HTTP, as a client of any make would speak to it: who is let in, what each operation
//! answers, what a role may see and do, and what is refused.

mod client;
mod commits;
mod logins;
mod namespaces;
mod plans;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod views;
