//! Empties a gateway before its pod ends: `berth-drain --admin-port 9901 --notice 15 --patience 1800 --linger 5`.
//!
//! What serving/gateway/drain.py does, as a program for an image that has neither Python nor a shell. Ends with 0 when
//! nothing is open any more, 1 when streams were left or the gateway did not answer; the reason is on standard error.
mod admin;

use admin::Admin;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(500);

/// Seconds, but for the port.
struct Options {
    admin_port: u16,
    /// From the failing of health checks to the draining of listeners.
    notice: f64,
    /// Longest wait for open streams.
    patience: f64,
    /// For kept connections, after the last stream: they learn of the drain by their next answer.
    linger: f64,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut found = Options { admin_port: 0, notice: 0.0, patience: 0.0, linger: 5.0 };
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("{name} lacks its value"))?;
        let number: f64 = value.parse().map_err(|_| format!("{name} {value}: not a number"))?;
        if !(0.0..1e9).contains(&number) {
            return Err(format!("{name} {value}: out of range"));
        }
        match name.as_str() {
            "--admin-port" => found.admin_port = number as u16,
            "--notice" => found.notice = number,
            "--patience" => found.patience = number,
            "--linger" => found.linger = number,
            _ => return Err(format!("{name}: no such option; there are --admin-port, --notice, --patience, --linger")),
        }
    }
    match found.admin_port {
        0 => Err("--admin-port is required".into()),
        _ => Ok(found),
    }
}

/// Streams that were still open at the end.
fn drain(admin: &Admin, options: &Options) -> Result<u64, String> {
    admin.post("/healthcheck/fail")?;
    sleep(Duration::from_secs_f64(options.notice));
    admin.post("/drain_listeners?graceful&skip_exit")?;
    let start = Instant::now();
    let mut idle_since = None;
    loop {
        let open = admin.open()?;
        if open.streams > 0 {
            idle_since = None;
        } else {
            let since = *idle_since.get_or_insert_with(Instant::now);
            if open.connections == 0 || since.elapsed().as_secs_f64() >= options.linger {
                return Ok(0);
            }
        }
        if start.elapsed().as_secs_f64() >= options.patience {
            return Ok(open.streams);
        }
        sleep(POLL);
    }
}

fn main() -> ExitCode {
    let ended = options(std::env::args().skip(1)).and_then(|o| drain(&Admin { port: o.admin_port }, &o));
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(left) => {
            eprintln!("berth-drain: {left} streams were still open at the end");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("berth-drain: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        options(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let good = parsed("--admin-port 9901 --notice 1.5 --patience 1800").unwrap();
        assert_eq!((good.admin_port, good.notice, good.patience, good.linger), (9901, 1.5, 1800.0, 5.0));
        for bad in ["", "--patience 5", "--admin-port", "--admin-port x", "--admin-port 1 --patience -1", "--what 1"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
