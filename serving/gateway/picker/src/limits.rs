//! What a tenant may use in a minute: requests, and tokens reserved before a request and settled after it.
//!
//! Kept by tenant name for the life of the process, so that new configurations do not refill anything.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// A minute's allowance that refills steadily.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    size: f64,
}

impl Bucket {
    fn full(size: f64) -> Self {
        Bucket { level: size, size }
    }

    /// Lets `seconds` pass; a changed size keeps the share that is left.
    fn pass(&mut self, seconds: f64, size: f64) {
        if size != self.size {
            self.level = if self.size > 0.0 { self.level / self.size * size } else { size };
            self.size = size;
        }
        self.level = (self.level + seconds * size / 60.0).min(size);
    }

    /// Seconds until `amount` is there.
    fn wait(&self, amount: f64) -> f64 {
        (amount.min(self.size) - self.level).max(0.0) / (self.size / 60.0)
    }
}

#[derive(Debug)]
struct State {
    at: Instant,
    requests: Bucket,
    tokens: Bucket,
}

/// One tenant's allowances. Shared by all worker threads.
#[derive(Debug, Default)]
pub struct Account(Mutex<Option<State>>);

/// Per minute; None: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Allowance {
    pub requests: Option<u64>,
    pub tokens: Option<u64>,
}

#[derive(Debug, PartialEq)]
pub enum Denied {
    /// Too many requests; seconds until the next one.
    Requests(u64),
    /// Too many tokens; seconds until this many are there.
    Tokens(u64),
    /// More tokens than the tenant has in a whole minute.
    TooBig(u64),
}

pub fn account(tenant: &str) -> Arc<Account> {
    static ACCOUNTS: OnceLock<Mutex<HashMap<String, Arc<Account>>>> = OnceLock::new();
    let mut accounts = ACCOUNTS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    accounts.entry(tenant.to_string()).or_default().clone()
}

impl Account {
    /// Takes one request and `tokens` tokens, or nothing.
    pub fn reserve(&self, allowance: Allowance, tokens: u64, now: Instant) -> Result<(), Denied> {
        if allowance == Allowance::default() {
            return Ok(());
        }
        let (requests, most) = (allowance.requests.unwrap_or(0) as f64, allowance.tokens.unwrap_or(0) as f64);
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = guard.get_or_insert_with(|| State {
            at: now,
            requests: Bucket::full(requests),
            tokens: Bucket::full(most),
        });
        let seconds = now.saturating_duration_since(state.at).as_secs_f64();
        state.at = state.at.max(now);
        state.requests.pass(seconds, requests);
        state.tokens.pass(seconds, most);
        let tokens = tokens as f64;
        if allowance.requests.is_some() && state.requests.level < 1.0 {
            return Err(Denied::Requests(state.requests.wait(1.0).ceil().max(1.0) as u64));
        }
        if allowance.tokens.is_some() {
            if tokens > most {
                return Err(Denied::TooBig(most as u64));
            }
            if state.tokens.level < tokens {
                return Err(Denied::Tokens(state.tokens.wait(tokens).ceil().max(1.0) as u64));
            }
            state.tokens.level -= tokens;
        }
        state.requests.level -= 1.0;
        Ok(())
    }

    /// Gives back what was reserved and not used; takes what was used beyond it, into debt if need be.
    pub fn settle(&self, reserved: u64, used: u64) {
        if let Some(state) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            state.tokens.level = (state.tokens.level + reserved as f64 - used as f64).min(state.tokens.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BOTH: Allowance = Allowance { requests: Some(3), tokens: Some(600) };

    #[test]
    fn requests_run_out_and_come_back() {
        let (account, start) = (Account::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(account.reserve(BOTH, 1, start), Ok(()));
        }
        assert_eq!(account.reserve(BOTH, 1, start), Err(Denied::Requests(20)));
        assert_eq!(account.reserve(BOTH, 1, start + Duration::from_secs(20)), Ok(()));
    }

    #[test]
    fn tokens_are_reserved_and_settled() {
        let (account, start) = (Account::default(), Instant::now());
        assert_eq!(account.reserve(BOTH, 500, start), Ok(()));
        assert_eq!(account.reserve(BOTH, 200, start), Err(Denied::Tokens(10)));
        account.settle(500, 100);
        assert_eq!(account.reserve(BOTH, 500, start), Ok(()));
        assert_eq!(account.reserve(BOTH, 601, start), Err(Denied::TooBig(600)));
        account.settle(500, 900);
        assert_eq!(account.reserve(BOTH, 1, start), Err(Denied::Tokens(41)), "debt is paid off first");
    }

    #[test]
    fn what_is_denied_costs_nothing_and_no_limit_is_no_limit() {
        let (account, start) = (Account::default(), Instant::now());
        for _ in 0..10 {
            assert!(account.reserve(BOTH, 601, start).is_err());
        }
        assert_eq!(account.reserve(BOTH, 600, start), Ok(()));
        let free = Account::default();
        assert!((0..1000).all(|_| free.reserve(Allowance::default(), 1 << 40, start).is_ok()));
    }

    #[test]
    fn a_changed_limit_keeps_the_share_that_is_left() {
        let (account, start) = (Account::default(), Instant::now());
        let tokens = |n| Allowance { requests: None, tokens: Some(n) };
        assert_eq!(account.reserve(tokens(600), 300, start), Ok(()));
        assert_eq!(account.reserve(tokens(1200), 600, start), Ok(()));
        assert!(account.reserve(tokens(1200), 1, start).is_err());
    }
}
