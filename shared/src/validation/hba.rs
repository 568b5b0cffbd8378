//! Lines of `pg_hba.conf`, field by field: one bad line and PostgreSQL keeps its old rules, or lets nobody in at start.
//!
//! The grammar is PostgreSQL's (chapter "The pg_hba.conf File"): type, databases, users, an address where there is a
//! network, method, options. A field may be quoted, and a list has commas that blanks may follow.

use std::net::IpAddr;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::text;

/// Connection types; all but the first come from a network and have an address.
const TYPES: &[&str] = &["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"];

/// How a connection may be let in.
const METHODS: &[&str] = &[
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "gss",
    "sspi",
    "ident",
    "peer",
    "ldap",
    "radius",
    "cert",
    "pam",
    "bsd",
    "oauth",
];

/// What some methods cannot do without: one of these options.
const NEEDED: &[(&str, &[&str])] =
    &[("ldap", &["ldapserver", "ldapurl"]), ("radius", &["radiusservers"]), ("oauth", &["issuer"])];

/// Lines of `spec.patroni.pg_hba`.
pub(super) fn lines(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let path = FieldPath::spec().field("patroni").field("pg_hba");
    let lines = manifest.spec.patroni.iter().flat_map(|patroni| patroni.pg_hba.iter().flatten());
    for (index, text) in lines.enumerate() {
        if let Err(message) = line(text) {
            errors.invalid(path.index(index), message);
        }
    }
}

/// One line; blank ones and comments are fine.
fn line(text: &str) -> Result<(), String> {
    if text.trim_end_matches(['\n', '\r']).contains(['\n', '\r']) {
        return Err("holds several lines; write one item for each".to_owned());
    }
    let fields = fields(text)?;
    let mut rest = fields.iter().map(String::as_str);
    let Some(kind) = rest.next() else { return Ok(()) };
    if ["include", "include_if_exists", "include_dir"].contains(&kind) {
        return match rest.count() {
            1 => Ok(()),
            _ => Err(format!("must name one file or folder behind {kind}")),
        };
    }
    if !TYPES.contains(&kind) {
        return Err(format!("begins with \"{kind}\"; a line begins with one of {}", TYPES.join(", ")));
    }
    let networked = kind != "local";
    let shape = if networked { "type database user address method" } else { "local database user method" };
    let too_short = || format!("is too short; write {shape}");
    let (_databases, _users) = (rest.next().ok_or_else(too_short)?, rest.next().ok_or_else(too_short)?);
    let mut method = rest.next().ok_or_else(too_short)?;
    if networked {
        let host = method;
        method = rest.next().ok_or_else(|| match METHODS.contains(&host) {
            true => format!("lacks the address before {host}, for example 10.0.0.0/8; write {shape}"),
            false => too_short(),
        })?;
        if address(host)? == Address::NeedsMask {
            mask(host, method)?;
            method = rest.next().ok_or_else(too_short)?;
        }
    }
    let options: Vec<&str> = rest.collect();
    authentication(kind, method, &options)
}

/// Method and options.
fn authentication(kind: &str, method: &str, options: &[&str]) -> Result<(), String> {
    if kind == "local" && address(method).is_ok() && method.contains(['/', '.', ':']) {
        return Err(format!("has the address {method}, but local is the socket and has none; remove it"));
    }
    if !METHODS.contains(&method) {
        return Err(format!("has the unknown method \"{method}\"; choose one of {}", METHODS.join(", ")));
    }
    let local = kind == "local";
    if local && ["gss", "sspi", "ident"].contains(&method) {
        return Err(format!("has the method {method}, which needs a network; use peer with local"));
    }
    if !local && method == "peer" {
        return Err(format!("has the method peer, which only local has; use scram-sha-256 with {kind}"));
    }
    if method == "cert" && kind != "hostssl" {
        return Err(format!("has the method cert, which needs TLS; begin with hostssl instead of {kind}"));
    }
    if let Some(odd) =
        options.iter().find(|option| option.split_once('=').is_none_or(|(name, _)| name.is_empty()))
    {
        return Err(format!("has \"{odd}\" behind the method; options look like name=value"));
    }
    let has =
        |name: &str| options.iter().any(|option| option.split_once('=').is_some_and(|(key, _)| key == name));
    if has("clientcert") && kind != "hostssl" {
        return Err(format!(
            "has the option clientcert, which needs TLS; begin with hostssl instead of {kind}"
        ));
    }
    match NEEDED.iter().find(|(name, needed)| *name == method && !needed.iter().any(|option| has(option))) {
        Some((_, needed)) => {
            Err(format!("has the method {method} without its option {}=…", needed.join("=… or ")))
        }
        None => Ok(()),
    }
}

#[derive(PartialEq)]
enum Address {
    Complete,
    NeedsMask,
}

/// A word, a host name, or a network.
fn address(host: &str) -> Result<Address, String> {
    if let Some((network, prefix)) = host.split_once('/') {
        let sample = "write for example 10.0.0.0/8 or 2001:db8::/32";
        let network: IpAddr = network
            .parse()
            .map_err(|_| format!("has the address \"{host}\", which is no network; {sample}"))?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let fits = prefix.parse::<u8>().is_ok_and(|length| length <= longest);
        return if fits {
            Ok(Address::Complete)
        } else {
            Err(format!(
                "has the address \"{host}\" without a valid length; write 0 to {longest} behind the slash"
            ))
        };
    }
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Address::NeedsMask);
    }
    let name = host.trim_start_matches('.').trim_end_matches('.').to_lowercase();
    if ["all", "samehost", "samenet"].contains(&host)
        || text::is_dns_1123_subdomain(&name) && !is_numbers(&name)
    {
        Ok(Address::Complete)
    } else {
        Err(format!(
            "has the address \"{host}\"; write a network like 10.0.0.0/8, a host name, samenet or all"
        ))
    }
}

/// `10.0.0` is an address with a part missing rather than the name of a host.
fn is_numbers(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// An address without a length has its mask in the next field.
fn mask(host: &str, mask: &str) -> Result<(), String> {
    let families = (
        host.parse::<IpAddr>().map(|host| host.is_ipv4()),
        mask.parse::<IpAddr>().map(|mask| mask.is_ipv4()),
    );
    match families {
        (Ok(host), Ok(mask)) if host == mask => Ok(()),
        (Ok(true), _) => {
            Err(format!("has the address \"{host}\" without a length; write {host}/32 for this one address"))
        }
        _ => {
            Err(format!("has the address \"{host}\" without a length; write {host}/128 for this one address"))
        }
    }
}

/// The fields of a line: blanks part them, quotes hold them together, a blank behind a comma goes on with the list.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut begun = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '#' if !quoted => break,
            c if c.is_whitespace() && !quoted => {
                if begun && !field.ends_with(',') {
                    fields.push(std::mem::take(&mut field));
                    begun = false;
                }
            }
            c => {
                field.push(c);
                begun = true;
            }
        }
    }
    if quoted {
        return Err("has a quote without its partner; close it".to_owned());
    }
    if begun {
        fields.push(field);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn lines_of_pg_hba_are_read_as_postgres_reads_them() {
        for text in [
            "hostssl all all 0.0.0.0/0 md5",
            "local   all  postgres  peer # comment",
            "host all all 10.0.0.0 255.0.0.0 scram-sha-256",
            "hostssl all +zalandos all pam",
            "hostssl all +zalandos 127.0.0.1/32 pam",
            "hostssl replication standby samenet scram-sha-256 clientcert=verify-full",
            "host orders, billing app all md5",
            "# only a comment",
            "",
            r#"host "my db" all all md5"#,
            "local all all trust",
            "hostnossl all all all reject",
            "host all /^team.*$ .example.com scram-sha-256",
            "host all all ::1/128 md5",
            "host all all db.example.com ldap ldapserver=ldap.example.com ldapprefix=cn=",
            "include extra.conf",
            "hostssl all all all cert map=users",
        ] {
            assert_eq!(line(text), Ok(()), "{text}");
        }
        for text in [
            "hostsl all all all md5",
            "host all all md5",
            "local all md5",
            "host all all all scram",
            "host all all 10.0.0.1 md5",
            "host all all 10.0.0/8 md5",
            "host all all 10.0.0.0/33 md5",
            "host all all 10.0.0 md5",
            "host all all all peer",
            "local all all ident",
            "host all all all cert",
            "host all all all md5 clientcert=1",
            "hostssl all all all ldap",
            "host all all all md5 verify-full",
            r#"host "my db all all md5"#,
            "include",
            "host all all all md5\nhost all all all trust",
        ] {
            assert!(line(text).is_err(), "{text}");
        }
    }
}
