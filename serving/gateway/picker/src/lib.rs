//! The gateway's dynamic module for Envoy: an HTTP filter that checks keys, finds the model and reads the prompt, and a
//! load balancing policy that sends the prompt where its first token will come first.
//!
//! `hooks` is what Envoy calls, `abi` is what is called in Envoy; the rest is ordinary Rust.
mod abi;
mod admit;
mod answer;
mod arrival;
mod balancer;
mod body;
mod caps;
mod chain;
mod clock;
mod config;
mod edit;
mod event;
mod hooks;
mod hop;
mod json;
mod limits;
mod line;
mod memory;
mod path;
mod peers;
mod pool;
mod request;
mod response;
mod scan;
mod sha256;
mod stats;
mod stream;
mod tree;
mod usage;
mod wait;
mod watch;
mod wire;
