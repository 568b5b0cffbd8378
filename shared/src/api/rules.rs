//! What the API server itself checks of a manifest, in CEL: [`RULES`], one list.
//!
//! They hold where no webhook is installed, and cannot be bypassed. Each says what a check of `validation` says too,
//! which knows more (the configuration, derived names) and words it better; what only upstream's operator would have
//! refused, or what `improve.md` says to refuse, is here, and nothing that works on a running cluster. The fact to
//! know: the API server reckons a rule's worst case beforehand and refuses a CRD whose rules may cost too much, hence
//! [`BOUNDS`] on everything a rule reads. The rules need Kubernetes 1.30 (`quantity()`, optional fields).

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Why a value is refused, in the API server's words.
#[derive(Clone, Copy)]
enum Reason {
    Invalid,
    Forbidden,
    Required,
}

/// Something that must hold of every manifest, or of every change of one where it speaks of `oldSelf`.
struct Rule {
    /// The field whose value is `self`: `volume.size`, `sidecars[]`, and empty for the spec.
    at: &'static str,
    /// CEL.
    rule: &'static str,
    /// What would be right.
    message: &'static str,
    /// Why it is refused.
    reason: Reason,
    /// The field below `at` that is to blame.
    blame: Option<&'static str>,
}

const QUANTITY: &str = "self in ['', '0', 'null'] || isQuantity(self)";
const QUANTITY_MESSAGE: &str =
    "is not a quantity; write a number with an optional suffix, for example 500m, 1.5, 250Mi or 10Gi";
const FIXED: &str = "cannot change: the members' data would stay behind; clone into a new cluster instead";

const RULES: &[Rule] = &[
    // What may not change.
    Rule {
        at: "",
        rule: "has(oldSelf.standby) || !has(self.standby)",
        message: "cannot be added to a cluster with data of its own; create a new cluster as the standby",
        reason: Reason::Forbidden,
        blame: Some(".standby"),
    },
    Rule {
        at: "",
        rule: "!has(oldSelf.standby) || !has(self.standby) || self.postgresql.version == oldSelf.postgresql.version",
        message: "cannot change on a standby; upgrade the source and make the standby anew",
        reason: Reason::Forbidden,
        blame: Some(".postgresql.version"),
    },
    Rule {
        at: "postgresql.version",
        rule: "!oldSelf.matches('^[0-9]+$') || int(self) >= int(oldSelf)",
        message: "cannot go down; restore a backup into a new cluster instead",
        reason: Reason::Forbidden,
        blame: None,
    },
    Rule {
        at: "volume.size",
        rule: "!isQuantity(self) || !isQuantity(oldSelf) || !quantity(self).isLessThan(quantity(oldSelf))",
        message: "cannot shrink; clone into a new cluster with smaller volumes instead",
        reason: Reason::Forbidden,
        blame: None,
    },
    Rule {
        at: "volume",
        rule: "(has(self.storageClass) ? self.storageClass : '') == (has(oldSelf.storageClass) ? oldSelf.storageClass : '')",
        message: FIXED,
        reason: Reason::Forbidden,
        blame: Some(".storageClass"),
    },
    Rule {
        at: "volume",
        rule: "(has(self.subPath) ? self.subPath : '') == (has(oldSelf.subPath) ? oldSelf.subPath : '')",
        message: FIXED,
        reason: Reason::Forbidden,
        blame: Some(".subPath"),
    },
    Rule {
        at: "volume",
        rule: "(has(self.isSubPathExpr) ? self.isSubPathExpr : false) == (has(oldSelf.isSubPathExpr) ? oldSelf.isSubPathExpr : false)",
        message: FIXED,
        reason: Reason::Forbidden,
        blame: Some(".isSubPathExpr"),
    },
    // Where the data comes from.
    Rule {
        at: "",
        rule: "!(has(self.clone) && has(self.standby))",
        message: "contradicts spec.clone: a cluster is a clone or a standby; remove one",
        reason: Reason::Forbidden,
        blame: Some(".standby"),
    },
    Rule {
        at: "standby",
        rule: "self.?s3_wal_path.orValue('') == '' || self.?gs_wal_path.orValue('') == ''",
        message: "contradicts s3_wal_path; keep one of them",
        reason: Reason::Forbidden,
        blame: Some(".gs_wal_path"),
    },
    Rule {
        at: "standby",
        rule: "self.?standby_host.orValue('') != '' || self.?s3_wal_path.orValue('') != '' || \
               self.?gs_wal_path.orValue('') != ''",
        message: "needs a source: standby_host, s3_wal_path or gs_wal_path",
        reason: Reason::Required,
        blame: None,
    },
    Rule {
        at: "standby.standby_port",
        rule: "self.matches('^([0-9]{1,5})?$')",
        message: "is not a port; write 1 to 65535, in quotes",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "clone.timestamp",
        rule: "self.matches('^([0-9]+-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?[+-][0-9]{2}:[0-9]{2})?$')",
        message: "is not a moment with an offset in numbers; write for example 2026-01-31T12:30:00+00:00",
        reason: Reason::Invalid,
        blame: None,
    },
    // Names that become labels, roles and folders.
    Rule {
        at: "teamId",
        rule: "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
        message: "cannot be the value of a label; use letters, digits, dashes, dots and underscores, beginning and \
                  ending with a letter or digit",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "users",
        rule: "self.all(name, name.matches('^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([.][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$'))",
        message: "names of users are lower-case letters, digits, dashes and underscores, beginning and ending with a \
                  letter or digit; a dot separates a namespace",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "databases",
        rule: "self.all(name, name.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",
        message: "names of databases are letters, digits and underscores, not beginning with a digit",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "preparedDatabases",
        rule: "self.all(name, name.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",
        message: "names of databases are letters, digits and underscores, not beginning with a digit",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "patroni.slots",
        rule: "self.all(name, name.matches('^[a-z0-9_]{1,63}$'))",
        message: "names of slots are at most 63 lower-case letters, digits and underscores",
        reason: Reason::Invalid,
        blame: None,
    },
    // Settings that need each other.
    Rule {
        at: "patroni",
        rule: "!self.?synchronous_mode_strict.orValue(false) || self.?synchronous_mode.orValue(false)",
        message: "has no effect without synchronous_mode: true; set it, or remove this",
        reason: Reason::Invalid,
        blame: Some(".synchronous_mode_strict"),
    },
    Rule {
        at: "tls",
        rule: "self.secretName == '' || self.?caSecretName.orValue('') == '' || self.?caFile.orValue('') != ''",
        message: "is required with caSecretName: the key of the CA certificate in it, for example ca.crt",
        reason: Reason::Required,
        blame: Some(".caFile"),
    },
    Rule {
        at: "connectionPooler",
        rule: "!has(self.maxDBConnections) || self.maxDBConnections >= self.?numberOfInstances.orValue(1)",
        message: "leaves no connection for each pod of the pooler; set at least numberOfInstances",
        reason: Reason::Invalid,
        blame: Some(".maxDBConnections"),
    },
    Rule {
        at: "additionalVolumes[]",
        rule: "self.mountPath != '/home/postgres/pgdata'",
        message: "is where the data lives; mount it elsewhere",
        reason: Reason::Invalid,
        blame: Some(".mountPath"),
    },
    // Texts with a form of their own.
    Rule {
        at: "maintenanceWindows[]",
        rule: "self.matches('^ *((Mon|Tue|Wed|Thu|Fri|Sat|Sun):)?(2[0-3]|[01]?[0-9]):[0-5]?[0-9]-(2[0-3]|[01]?[0-9]):[0-5]?[0-9] *$')",
        message: "is not a maintenance window; write Sat:02:00-04:00 or 02:00-04:00 (24 hours, UTC)",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "logicalBackupSchedule",
        rule: r"self.matches('^\\s*(\\S+(\\s+\\S+){4})?\\s*$')",
        message: "needs five fields: minute, hour, day of month, month, day of week",
        reason: Reason::Invalid,
        blame: None,
    },
    Rule {
        at: "volume.size",
        rule: "isQuantity(self)",
        message: QUANTITY_MESSAGE,
        reason: Reason::Invalid,
        blame: None,
    },
];

/// Where amounts of CPU and memory stand.
const AMOUNTS: &[&str] = &[
    "resources.requests",
    "resources.limits",
    "connectionPooler.resources.requests",
    "connectionPooler.resources.limits",
    "sidecars[].resources.requests",
    "sidecars[].resources.limits",
    "streams[]",
];

/// How large what a rule reads may be. Nothing that works comes near.
const BOUNDS: &[(&str, &str, u64)] = &[
    ("teamId", "maxLength", 63),
    ("volume.size", "maxLength", 64),
    ("volume.storageClass", "maxLength", 253),
    ("volume.subPath", "maxLength", 4096),
    ("clone.timestamp", "maxLength", 64),
    ("standby.standby_port", "maxLength", 64),
    ("standby.standby_host", "maxLength", 4096),
    ("standby.s3_wal_path", "maxLength", 4096),
    ("standby.gs_wal_path", "maxLength", 4096),
    ("tls.secretName", "maxLength", 253),
    ("tls.caSecretName", "maxLength", 253),
    ("tls.caFile", "maxLength", 4096),
    ("users", "maxProperties", 10_000),
    ("databases", "maxProperties", 10_000),
    ("preparedDatabases", "maxProperties", 10_000),
    ("patroni.slots", "maxProperties", 1_000),
    ("additionalVolumes", "maxItems", 1_000),
    ("additionalVolumes[].mountPath", "maxLength", 4096),
    ("sidecars", "maxItems", 250),
    ("streams", "maxItems", 1_000),
    ("maintenanceWindows", "maxItems", 1_000),
    ("maintenanceWindows[]", "maxLength", 256),
    ("logicalBackupSchedule", "maxLength", 1024),
];

/// Writes all rules and bounds into the schema of the spec.
pub(super) fn write(schema: &mut Schema) {
    let Some(root) = schema.as_object_mut() else { return };
    for (at, keyword, bound) in BOUNDS {
        if let Some(schema) = field(root, at) {
            schema.insert((*keyword).to_owned(), json!(bound));
        }
    }
    for rule in RULES {
        if let Some(schema) = field(root, rule.at) {
            add(schema, rule);
        }
    }
    for at in AMOUNTS {
        for name in ["cpu", "memory", "hugepages-2Mi", "hugepages-1Gi"] {
            let Some(schema) = field(root, at).and_then(|amounts| field(amounts, name)) else { continue };
            schema.insert("maxLength".to_owned(), json!(64));
            add(
                schema,
                &Rule { at, rule: QUANTITY, message: QUANTITY_MESSAGE, reason: Reason::Invalid, blame: None },
            );
        }
    }
}

/// Adds one rule to the schema of the field that it speaks of.
fn add(schema: &mut Map<String, Value>, rule: &Rule) {
    let Rule { at: _, rule, message, reason, blame } = rule;
    let reason = match reason {
        Reason::Invalid => "FieldValueInvalid",
        Reason::Forbidden => "FieldValueForbidden",
        Reason::Required => "FieldValueRequired",
    };
    let mut entry = json!({ "rule": rule, "message": message, "reason": reason });
    if let (Some(entry), Some(blame)) = (entry.as_object_mut(), blame) {
        entry.insert("fieldPath".to_owned(), json!(blame));
    }
    let rules = schema.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(entry);
    }
}

/// The schema of a field, by a path as in [`Rule::at`].
fn field<'a>(schema: &'a mut Map<String, Value>, path: &str) -> Option<&'a mut Map<String, Value>> {
    path.split('.').filter(|segment| !segment.is_empty()).try_fold(schema, |schema, segment| {
        let (name, is_list) = segment.strip_suffix("[]").map_or((segment, false), |name| (name, true));
        let field = schema.get_mut("properties")?.get_mut(name)?.as_object_mut()?;
        if is_list { field.get_mut("items")?.as_object_mut() } else { Some(field) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Postgresql;
    use kube::CustomResourceExt;

    fn spec() -> Map<String, Value> {
        let crd = serde_json::to_value(Postgresql::crd()).unwrap();
        let root = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
        root.as_object().unwrap().clone()
    }

    #[test]
    fn every_rule_and_bound_has_a_field() {
        let mut spec = spec();
        for rule in RULES {
            let schema = field(&mut spec, rule.at).unwrap_or_else(|| panic!("no field {}", rule.at));
            if let Some(blame) = rule.blame {
                assert!(field(schema, blame.trim_start_matches('.')).is_some(), "{}{blame}", rule.at);
            }
        }
        for (at, ..) in BOUNDS {
            assert!(field(&mut spec, at).is_some(), "no field {at}");
        }
        for at in AMOUNTS {
            assert!(
                field(&mut spec, at).and_then(|amounts| field(amounts, "cpu")).is_some(),
                "no field {at}"
            );
        }
    }

    #[test]
    fn the_first_sentence_of_a_message_is_about_the_field() {
        for Rule { message, .. } in RULES {
            assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
        }
    }
}
