//! The reverse proxy between real clients and real origins, on loopback.

mod bodies;
mod expect;
mod failures;
mod fields;
mod limits;
mod matrix;
mod smuggling;
mod stop;
mod support;
mod tls;
mod tunnels;
