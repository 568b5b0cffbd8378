//! Which address a pod gets. Pure.
//!
//! A pod that comes back under the same name gets the same address: a member of a StatefulSet keeps its own for life.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The first numbers are left to those that need a fixed address (see `pod::FIXED_ADDRESS`).
const FIRST: u16 = 10;

/// The addresses of one network, by the pods' namespace and name.
#[derive(Debug)]
pub struct Addresses {
    network: [u8; 2],
    taken: BTreeMap<String, Ipv4Addr>,
}

impl Addresses {
    /// All addresses of `network`, its first two numbers as in `127.64`.
    pub fn of(network: &str) -> Option<Self> {
        let (first, second) = network.split_once('.')?;
        let network = [first.parse().ok()?, second.parse().ok()?];
        (network.first() == Some(&127)).then(|| Self { network, taken: BTreeMap::new() })
    }

    /// The address of a pod; `wish` is the one it had before or asks for, and is granted where nobody else has it.
    pub fn assign(&mut self, pod: &str, wish: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        if let Some(address) = self.taken.get(pod) {
            return Some(*address);
        }
        let address = wish.filter(|address| self.grants(*address)).or_else(|| self.free())?;
        self.taken.insert(pod.to_owned(), address);
        Some(address)
    }

    /// Takes an address back: the pod's name will not be seen again.
    pub fn release(&mut self, pod: &str) {
        self.taken.remove(pod);
    }

    fn grants(&self, address: Ipv4Addr) -> bool {
        let [first, second, ..] = address.octets();
        [first, second] == self.network && !self.is_taken(address)
    }

    fn is_taken(&self, address: Ipv4Addr) -> bool {
        self.taken.values().any(|taken| *taken == address)
    }

    fn free(&self) -> Option<Ipv4Addr> {
        let [first, second] = self.network;
        let all = (FIRST..=u16::MAX).map(u16::to_be_bytes);
        let usable = all.filter(|[_, last]| !matches!(last, 0 | 255));
        let mut addresses = usable.map(|[third, last]| Ipv4Addr::new(first, second, third, last));
        addresses.find(|address| !self.is_taken(*address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: Option<Ipv4Addr>) -> String {
        address.map(|address| address.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_pod_that_comes_back_has_its_old_address() {
        let mut addresses = Addresses::of("127.64").unwrap();
        assert_eq!(text(addresses.assign("default/demo-0", None)), "127.64.0.10");
        assert_eq!(text(addresses.assign("default/demo-1", None)), "127.64.0.11");
        assert_eq!(text(addresses.assign("default/demo-0", None)), "127.64.0.10");
    }

    #[test]
    fn a_released_address_is_given_again() {
        let mut addresses = Addresses::of("127.64").unwrap();
        addresses.assign("a", None);
        addresses.release("a");
        assert_eq!(text(addresses.assign("b", None)), "127.64.0.10");
    }

    #[test]
    fn a_wish_is_granted_in_the_network_and_only_once() {
        let mut addresses = Addresses::of("127.65").unwrap();
        let wish = Some(Ipv4Addr::new(127, 65, 0, 2));
        assert_eq!(text(addresses.assign("webhook", wish)), "127.65.0.2");
        assert_eq!(text(addresses.assign("second", wish)), "127.65.0.10");
        assert_eq!(text(addresses.assign("other", Some(Ipv4Addr::new(127, 64, 0, 9)))), "127.65.0.11");
    }

    #[test]
    fn only_loopback_networks_are_served() {
        assert!(Addresses::of("10.244").is_none());
        assert!(Addresses::of("127").is_none());
    }

    #[test]
    fn more_than_one_last_number_is_used() {
        let mut addresses = Addresses::of("127.64").unwrap();
        let all: Vec<String> = (0..300).map(|n| text(addresses.assign(&n.to_string(), None))).collect();
        assert!(all.contains(&"127.64.0.254".to_owned()) && all.contains(&"127.64.1.1".to_owned()));
        assert!(all.iter().all(|address| !address.ends_with(".0") && !address.ends_with(".255")));
    }
}
