//! Services: node ports that can be had, and networks that are networks.
//!
//! A node port wins over a load balancer, and a port number without its switch does nothing, which is a warning.

use std::net::IpAddr;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

/// One of the four Services a cluster can publish.
struct Published {
    node_port: (&'static str, Option<i32>),
    enable_node_port: (&'static str, bool),
    enable_load_balancer: (&'static str, bool),
}

/// The four Services, the operator's configuration filled in.
fn services(manifest: &Postgresql, config: &OperatorConfig) -> [Published; 4] {
    let (spec, defaults) = (&manifest.spec, &config.load_balancer);
    [
        Published {
            node_port: ("masterNodePort", spec.master_node_port),
            enable_node_port: (
                "enableMasterNodePort",
                spec.enable_master_node_port.unwrap_or(defaults.enable_master_node_port),
            ),
            enable_load_balancer: (
                "enableMasterLoadBalancer",
                spec.enable_master_load_balancer == Some(true),
            ),
        },
        Published {
            node_port: ("replicaNodePort", spec.replica_node_port),
            enable_node_port: (
                "enableReplicaNodePort",
                spec.enable_replica_node_port.unwrap_or(defaults.enable_replica_node_port),
            ),
            enable_load_balancer: (
                "enableReplicaLoadBalancer",
                spec.enable_replica_load_balancer == Some(true),
            ),
        },
        Published {
            node_port: ("masterPoolerNodePort", spec.master_pooler_node_port),
            enable_node_port: (
                "enableMasterPoolerNodePort",
                spec.enable_master_pooler_node_port.unwrap_or(defaults.enable_master_pooler_node_port),
            ),
            enable_load_balancer: (
                "enableMasterPoolerLoadBalancer",
                spec.enable_master_pooler_load_balancer == Some(true),
            ),
        },
        Published {
            node_port: ("replicaPoolerNodePort", spec.replica_pooler_node_port),
            enable_node_port: (
                "enableReplicaPoolerNodePort",
                spec.enable_replica_pooler_node_port.unwrap_or(defaults.enable_replica_pooler_node_port),
            ),
            enable_load_balancer: (
                "enableReplicaPoolerLoadBalancer",
                spec.enable_replica_pooler_load_balancer == Some(true),
            ),
        },
    ]
}

/// A port that can be had, and given once. 0 lets Kubernetes choose.
pub(super) fn node_ports(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let mut taken: Vec<(i32, &str)> = Vec::new();
    for service in services(manifest, config) {
        let (name, Some(port)) = service.node_port else { continue };
        let path = FieldPath::spec().field(name);
        if port == 0 {
            continue;
        }
        if !(1..=65_535).contains(&port) {
            errors.invalid(path, format!("{port} is not a port; node ports are usually 30000 to 32767"));
            continue;
        }
        match taken.iter().find(|(other, _)| *other == port) {
            Some((_, other)) => errors.duplicate(path, format!("{port} is the port of {other} already")),
            None => taken.push((port, name)),
        }
    }
}

/// Networks in CIDR notation.
pub(super) fn source_ranges(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, range) in manifest.spec.allowed_source_ranges.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("allowedSourceRanges").index(index);
        if let Err(message) = network(range.trim()) {
            errors.invalid(path, format!("\"{range}\" {message}"));
        } else if seen.contains(&range.trim()) {
            errors.duplicate(path, format!("{range} stands here twice; remove one"));
        }
        seen.push(range.trim());
    }
}

/// `10.0.0.0/8` or `2001:db8::/32`.
fn network(text: &str) -> Result<(), String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => {
                format!("is an address, not a network; write {text}/32 for this one address")
            }
            Ok(IpAddr::V6(_)) => {
                format!("is an address, not a network; write {text}/128 for this one address")
            }
            Err(_) => "is not a network; write for example 10.0.0.0/8 or 2001:db8::/32".to_owned(),
        });
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| "is not a network; write for example 10.0.0.0/8 or 2001:db8::/32".to_owned())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    match prefix.parse::<u8>() {
        Ok(length) if length <= longest && prefix.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err(format!("has no valid length behind the slash; write 0 to {longest}")),
    }
}

/// What is asked for and will not be, or may not be, as asked.
pub(super) fn contradictions(manifest: &Postgresql, config: &OperatorConfig, changes: &mut Vec<Change>) {
    let mut tell = |name: &str, message: String| {
        changes.push(Change { field: FieldPath::spec().field(name), effect: Effect::Ignored, message });
    };
    for service in services(manifest, config) {
        let (balancer, balanced) = service.enable_load_balancer;
        let (switch, on) = service.enable_node_port;
        if on && balanced {
            tell(balancer, format!("has no effect: {switch} wins"));
        }
        if let (name, Some(port)) = service.node_port
            && port != 0
            && !on
        {
            tell(name, format!("has no effect without {switch}: true"));
        } else if let (name, Some(port)) = service.node_port
            && port != 0
            && !(30_000..=32_767).contains(&port)
        {
            tell(name, format!("{port} is outside Kubernetes' usual node ports, 30000 to 32767"));
        }
    }
    let spec = &manifest.spec;
    let defaults = &config.load_balancer;
    let any = spec.enable_master_load_balancer.unwrap_or(defaults.enable_master_load_balancer)
        || spec.enable_replica_load_balancer.unwrap_or(defaults.enable_replica_load_balancer)
        || spec.enable_master_pooler_load_balancer.unwrap_or(defaults.enable_master_pooler_load_balancer)
        || spec.enable_replica_pooler_load_balancer.unwrap_or(defaults.enable_replica_pooler_load_balancer);
    if spec.allowed_source_ranges.as_ref().is_some_and(|ranges| !ranges.is_empty()) && !any {
        tell("allowedSourceRanges", "has no effect without a load balancer".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn networks_of_both_families_are_read() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.168.7.1/32", "2001:db8::/32", "::/0"] {
            assert_eq!(network(text), Ok(()), "{text}");
        }
        for text in
            ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::1", "::/129", "all", "10.0.0.0/", "10.0.0.0/+8"]
        {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
