//! The gateway's dynamic module for Envoy: an HTTP filter that checks keys, finds the model and reads the prompt, and a
//! load balancing policy that sends the prompt where its first token will come first.
//!
//! `hooks` is what Envoy calls, `abi` is what is called in Envoy; the rest is ordinary Rust.
mod abi;
mod answer;
mod balancer;
mod chain;
mod config;
mod filter;
mod hooks;
mod json;
mod memory;
mod path;
mod pool;
mod sha256;
mod tree;
