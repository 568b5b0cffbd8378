//! Names made from a template.

use super::syntax::{is_dns_name, strange_placeholders};
use crate::config::OperatorConfig;
use crate::config::reading::Findings;

/// A template: its key, its text, what may and what must stand in it.
struct Template<'a> {
    leaf: &'static str,
    text: &'a str,
    known: &'static [&'static str],
    required: &'static [&'static str],
}

/// What a DNS name is made of.
const DNS: &[&str] = &["cluster", "namespace", "team", "hostedzone"];
/// What a Secret's name is made of. Upstream's docs list `{namespace}` too, but nothing ever filled it in.
const SECRET: &[&str] = &["username", "cluster", "tprkind", "tprgroup"];

fn templates(config: &OperatorConfig) -> [Template<'_>; 6] {
    let (kubernetes, dns) = (&config.kubernetes, &config.load_balancer);
    let name = |leaf, text, known, required| Template { leaf, text, known, required };
    [
        name("pdb_name_format", &kubernetes.pdb_name_format, &["cluster"], &["cluster"]),
        name("secret_name_template", &kubernetes.secret_name_template, SECRET, &["username", "cluster"]),
        name("master_dns_name_format", &dns.master_dns_name_format, DNS, &["cluster"]),
        name("master_legacy_dns_name_format", &dns.master_legacy_dns_name_format, DNS, &["cluster"]),
        name("replica_dns_name_format", &dns.replica_dns_name_format, DNS, &["cluster"]),
        name("replica_legacy_dns_name_format", &dns.replica_legacy_dns_name_format, DNS, &["cluster"]),
    ]
}

/// Only placeholders that are filled in, and all that keep two clusters' names apart.
pub(super) fn placeholders(config: &OperatorConfig, findings: &mut Findings) {
    for Template { leaf, text, known, required } in templates(config) {
        for strange in strange_placeholders(text, known) {
            let known = known.join("}, {");
            findings.error(leaf, format!("has {strange:?}, which nothing fills in; use {{{known}}}"));
        }
        for name in required {
            if !text.contains(&format!("{{{name}}}")) {
                findings.error(leaf, format!("lacks {{{name}}}, so names would not be unique"));
            }
        }
    }
}

/// What comes out can be a name.
pub(super) fn results(config: &OperatorConfig, findings: &mut Findings) {
    for Template { leaf, text, known, .. } in templates(config) {
        let filled =
            known.iter().fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), "x"));
        let filled = if known == DNS { filled.to_lowercase() } else { filled };
        if !filled.contains(['{', '}']) && !is_dns_name(&filled) {
            let message =
                "does not give a name; use lower-case letters, digits, - and . around the placeholders";
            findings.error(leaf, message);
        }
    }
}
