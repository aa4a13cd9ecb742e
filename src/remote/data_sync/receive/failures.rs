//! How often an address got its credentials wrong lately.
//!
//! It bounds guessing at the token endpoint and the lines of a log. It must not keep a good token out: behind a proxy all
//! callers share one address, and a stranger must not be able to stop the sender's job by failing on purpose.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failures are counted in spans of this length.
pub(super) const SPAN: Duration = Duration::from_secs(60);

/// Addresses that are remembered. Beyond it the longest silent are forgotten: a crowd of addresses is no guesser.
const PEERS_MAX: usize = 4_096;

/// Failures per address.
pub(super) struct Failures {
    max: u32,
    peers: Mutex<HashMap<IpAddr, Span>>,
}

#[derive(Clone, Copy)]
struct Span {
    began: Duration,
    count: u32,
}

impl Failures {
    /// At most `max` in a span.
    pub(super) fn new(max: u32) -> Self {
        Self {
            max,
            peers: Mutex::default(),
        }
    }

    /// How long `peer` has still to wait after too many failures; `now` is the monotonic clock.
    pub(super) fn wait(&self, peer: IpAddr, now: Duration) -> Option<Duration> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let span = peers.get(&network(peer))?;
        let left = (span.began + SPAN).checked_sub(now)?;
        (span.count >= self.max && !left.is_zero()).then_some(left)
    }

    /// Notes a failure; false when there were so many that it is not worth a line in the log.
    pub(super) fn note(&self, peer: IpAddr, now: Duration) -> bool {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if peers.len() >= PEERS_MAX && !peers.contains_key(&peer) {
            peers.retain(|_, span| span.began + SPAN > now);
            if peers.len() >= PEERS_MAX {
                peers.clear();
            }
        }
        let span = peers.entry(peer).or_insert(Span {
            began: now,
            count: 0,
        });
        if now >= span.began + SPAN {
            *span = Span {
                began: now,
                count: 0,
            };
        }
        span.count = span.count.saturating_add(1);
        span.count <= self.max
    }
}

/// A customer of a provider has a whole /64 of IPv6.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_per_network_and_span() {
        let failures = Failures::new(3);
        let peer: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let at = Duration::from_secs;
        assert_eq!(failures.wait(peer, at(0)), None);
        assert!(failures.note(peer, at(0)) && failures.note(neighbour, at(10)));
        assert_eq!(failures.wait(peer, at(10)), None);
        assert!(failures.note(peer, at(20)));
        assert_eq!(failures.wait(neighbour, at(20)), Some(at(40)));
        assert!(!failures.note(peer, at(30)));
        assert_eq!(failures.wait(other, at(30)), None);
        assert_eq!(failures.wait(peer, at(60)), None);
        assert!(failures.note(peer, at(61)));
        assert_eq!(failures.wait(peer, at(61)), None);
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory() {
        let failures = Failures::new(1);
        for number in 0..20_000u32 {
            failures.note(IpAddr::V4(number.into()), Duration::from_secs(1));
        }
        assert!(failures.peers.lock().unwrap().len() <= PEERS_MAX);
        // An address written in IPv6 is the same address.
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.1".parse::<IpAddr>().unwrap());
        assert!(network("::1".parse().unwrap()).is_loopback());
    }
}
