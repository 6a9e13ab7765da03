//! The gateway's admin port, as far as a drain needs it.
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// The two gauges, as serving/gateway/drain.py has them.
const STREAMS: &str = "http.gateway.downstream_rq_active";
const CONNECTIONS: &str = "http.gateway.downstream_cx_active";

pub struct Admin {
    pub port: u16,
}

#[derive(Debug, PartialEq)]
pub struct Open {
    pub streams: u64,
    pub connections: u64,
}

impl Admin {
    pub fn post(&self, path: &str) -> Result<(), String> {
        self.call("POST", path).map(drop)
    }

    /// What clients have open.
    pub fn open(&self) -> Result<Open, String> {
        let text = self.call("GET", "/stats?filter=downstream_(rq|cx)_active")?;
        Ok(Open { streams: gauge(&text, STREAMS), connections: gauge(&text, CONNECTIONS) })
    }

    fn call(&self, method: &str, path: &str) -> Result<String, String> {
        let answer =
            self.exchange(method, path).map_err(|e| format!("admin port {}, {method} {path}: {e}", self.port))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.split_whitespace().nth(1) != Some("200") {
            return Err(format!("admin port {}, {method} {path}: {}", self.port, head.lines().next().unwrap_or("")));
        }
        let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
        Ok(if chunked { joined(body) } else { body.to_string() })
    }

    fn exchange(&self, method: &str, path: &str) -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// A gauge in the text form of /stats; one that is not there yet is 0.
fn gauge(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok();
    text.lines().find_map(value).unwrap_or(0)
}

/// The content of a chunked body.
fn joined(mut body: &str) -> String {
    let mut content = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|_| size > 0) else { break };
        content.push_str(chunk);
        body = rest[size..].trim_start_matches("\r\n");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_found_by_their_whole_name() {
        let text = "http.admin.downstream_rq_active: 1\nhttp.gateway.downstream_rq_active: 17\n";
        assert_eq!((gauge(text, STREAMS), gauge(text, CONNECTIONS)), (17, 0));
    }

    #[test]
    fn chunks_are_joined_and_a_broken_body_ends() {
        assert_eq!(joined("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
        assert_eq!(joined("ff\r\nabc"), "");
        assert_eq!(joined("zz\r\nabc"), "");
    }
}
