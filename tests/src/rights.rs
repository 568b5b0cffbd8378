//! Rights that are granted, held against what was asked: from an audit log and the RBAC objects that are shipped.
//!
//! Pure: lines and objects in, findings out. A newcomer would not guess that a right can be needed and never be asked for:
//! who binds a role must have every right in it, and some rights are looked at by admission alone. So there is a list of
//! those that are kept, each with its reason, and an entry that is not needed any more is a finding, too.

mod shipped;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

pub use shipped::{IN_VAIN, KEPT, shipped};

/// A verb on a kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural, with the subresource behind a slash.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// A Role or ClusterRole, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `Role name` or `ClusterRole name`.
    pub name: String,
    /// What it grants.
    pub acts: BTreeSet<Act>,
    /// Who is bound to it: `namespace:name` of service accounts.
    pub accounts: BTreeSet<String>,
}

/// A request to the API server, as its audit log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `namespace:name` of the service account.
    pub account: String,
    /// What it wanted.
    pub act: Act,
    /// The path.
    pub path: String,
    /// Whether it lacked the right. Admission answers 403, too, and so does a namespace that goes: those had the right.
    pub refused: bool,
    /// When.
    pub at: Timestamp,
}

/// A right that is kept although nobody asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// The role, as [`Role::name`].
    pub role: &'static str,
    /// API group.
    pub group: &'static str,
    /// The plurals.
    pub resources: &'static [&'static str],
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// Why it is kept.
    pub why: &'static str,
}

/// A request that is refused rightly: who asks does without.
#[derive(Clone, Copy, Debug)]
pub struct InVain {
    /// The account's name, in any namespace.
    pub account: &'static str,
    /// The path that is asked for.
    pub path: &'static str,
    /// Why it is asked for, and why the right is not granted.
    pub why: &'static str,
}

impl InVain {
    fn is(&self, one: &Asked) -> bool {
        let name = one.account.split_once(':').map(|(_, name)| name);
        name == Some(self.account) && one.path.split('?').next() == Some(self.path)
    }
}

/// What does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What was refused, and to whom.
    pub refused: BTreeSet<String>,
    /// Granted, never asked for, and not on the list of what is kept.
    pub unused: BTreeSet<String>,
    /// On that list, and asked for or not granted.
    pub needless: BTreeSet<String>,
}

const ACCOUNT: &str = "system:serviceaccount:";

/// A request of a service account about an object; `None` for every other line. A watch that ends is no second request.
pub fn asked(line: &str) -> Option<Asked> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let account = text("/user/username")?.strip_prefix(ACCOUNT)?.to_owned();
    let resource = text("/objectRef/resource")?;
    let resource = text("/objectRef/subresource").map_or(resource.clone(), |sub| format!("{resource}/{sub}"));
    let group = text("/objectRef/apiGroup").unwrap_or_default();
    let at = text("/stageTimestamp")?.parse().ok()?;
    let refused =
        text("/annotations/authorization.k8s.io~1decision").is_some_and(|decision| decision == "forbid");
    let act = Act { group, resource, verb: text("/verb")? };
    Some(Asked { account, act, path: text("/requestURI")?, refused, at })
}

/// The roles among these objects, with the service accounts that their bindings name.
pub fn roles(objects: &[Value]) -> Vec<Role> {
    let kind = |object: &Value| object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let text =
        |object: &Value, at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut accounts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for binding in objects.iter().filter(|object| kind(object).ends_with("RoleBinding")) {
        let role = format!("{} {}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
        let subjects = binding.get("subjects").and_then(Value::as_array).into_iter().flatten();
        let subjects = subjects.map(|one| format!("{}:{}", text(one, "/namespace"), text(one, "/name")));
        accounts.entry(role).or_default().extend(subjects);
    }
    let roles = objects.iter().filter(|object| ["Role", "ClusterRole"].contains(&kind(object).as_str()));
    roles
        .map(|role| {
            let name = format!("{} {}", kind(role), text(role, "/metadata/name"));
            let accounts = accounts.get(&name).cloned().unwrap_or_default();
            Role { acts: acts(role), accounts, name }
        })
        .collect()
}

/// Every act that a role grants, one by one.
fn acts(role: &Value) -> BTreeSet<Act> {
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let words = rule.get(key).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut acts = BTreeSet::new();
    for rule in role.get("rules").and_then(Value::as_array).into_iter().flatten() {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                let act = |verb| Act { group: group.clone(), resource: resource.clone(), verb };
                acts.extend(words(rule, "verbs").into_iter().map(act));
            }
        }
    }
    acts
}

impl Kept {
    fn acts(&self) -> impl Iterator<Item = Act> + '_ {
        self.resources.iter().flat_map(|resource| {
            let act = |verb: &&str| Act {
                group: self.group.to_owned(),
                resource: (*resource).to_owned(),
                verb: (*verb).to_owned(),
            };
            self.verbs.iter().map(act)
        })
    }
}

/// Whether an account is meant; a `*` for the namespace means any.
fn is_meant(role: &Role, account: &str) -> bool {
    let anywhere = account.split_once(':').map(|(_, name)| format!("*:{name}"));
    role.accounts.contains(account) || anywhere.is_some_and(|anywhere| role.accounts.contains(&anywhere))
}

/// Holds what is granted against what was asked.
pub fn compare(roles: &[Role], asked: &[Asked], kept: &[Kept], in_vain: &[InVain]) -> Findings {
    let mut findings = Findings::default();
    let excused = |one: &Asked| in_vain.iter().any(|known| known.is(one));
    let ours = |one: &&Asked| roles.iter().any(|role| is_meant(role, &one.account));
    for one in asked.iter().filter(ours).filter(|one| one.refused && !excused(one)) {
        findings.refused.insert(format!("{}: {} ({})", one.account, one.act, one.path));
    }
    for role in roles {
        let mine = asked.iter().filter(|one| !one.refused && is_meant(role, &one.account));
        let used: BTreeSet<&Act> = mine.map(|one| &one.act).collect();
        let of_role = kept.iter().filter(|entry| entry.role == role.name);
        let excused: BTreeSet<Act> = of_role.flat_map(Kept::acts).collect();
        let unused = role.acts.iter().filter(|act| !used.contains(act) && !excused.contains(act));
        findings.unused.extend(unused.map(|act| format!("{}: {act}", role.name)));
        let needless = excused.iter().filter(|act| used.contains(act) || !role.acts.contains(act));
        findings.needless.extend(needless.map(|act| format!("{}: {act}", role.name)));
    }
    findings
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may be blunt")]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(account: &str, verb: &str, resource: &str, code: u16) -> String {
        let (resource, subresource) =
            resource.split_once('/').map_or((resource, None), |(one, two)| (one, Some(two)));
        json!({
            "stage": "ResponseComplete", "stageTimestamp": "2026-11-22T21:39:02.836743Z", "verb": verb, "requestURI": format!("/api/v1/{resource}"),
            "user": {"username": account}, "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": if code == 403 { "forbid" } else { "allow" }},
            "objectRef": {"resource": resource, "subresource": subresource, "apiVersion": "v1"},
        })
        .to_string()
    }

    fn operators() -> Vec<Role> {
        let objects = json!([
            {"kind": "ServiceAccount", "metadata": {"name": "operator"}},
            {"kind": "ClusterRole", "metadata": {"name": "operator"}, "rules": [
                {"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["list", "create"]},
            ]},
            {"kind": "ClusterRoleBinding", "roleRef": {"kind": "ClusterRole", "name": "operator"},
             "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": "ops"}]},
        ]);
        roles(objects.as_array().unwrap())
    }

    fn found(lines: &[String], kept: &[Kept]) -> Findings {
        let asked: Vec<Asked> = lines.iter().filter_map(|line| asked(line)).collect();
        compare(&operators(), &asked, kept, &[])
    }

    const US: &str = "system:serviceaccount:ops:operator";

    #[test]
    fn what_is_granted_and_never_asked_for_is_found() {
        let findings = found(&[line(US, "list", "pods", 200), line(US, "create", "pods/exec", 101)], &[]);
        let unused = ["ClusterRole operator: create pods", "ClusterRole operator: list pods/exec"];
        assert_eq!(findings, Findings { unused: unused.map(str::to_owned).into(), ..Findings::default() });
    }

    #[test]
    fn what_others_ask_for_is_no_use_of_ours_and_their_refusals_are_theirs() {
        let them = "system:serviceaccount:ops:somebody";
        let findings = found(&[line(them, "list", "pods", 200), line(them, "get", "pods", 403)], &[]);
        assert_eq!((findings.unused.len(), findings.refused.len()), (4, 0));
        assert!(asked(&line("admin", "list", "pods", 200)).is_none());
    }

    #[test]
    fn a_refusal_is_found_and_counts_as_no_use() {
        let findings = found(&[line(US, "list", "pods", 403), line(US, "get", "secrets", 403)], &[]);
        let refused =
            ["ops:operator: get secrets (/api/v1/secrets)", "ops:operator: list pods (/api/v1/pods)"];
        assert_eq!(findings.refused, refused.map(str::to_owned).into());
        assert!(findings.unused.contains("ClusterRole operator: list pods"));
    }

    #[test]
    fn what_is_asked_for_in_vain_and_known_is_no_finding() {
        let log: Vec<Asked> = asked(&line(US, "get", "secrets", 403)).into_iter().collect();
        let known = InVain { account: "operator", path: "/api/v1/secrets", why: "" };
        assert_eq!(compare(&operators(), &log, &[], &[known]).refused, [].into());
        let other = InVain { path: "/api/v1/pods", ..known };
        assert_eq!(compare(&operators(), &log, &[], &[other]).refused.len(), 1);
    }

    #[test]
    fn what_is_kept_with_a_reason_is_no_finding_until_it_is_asked_for_or_gone() {
        let kept =
            |verbs| Kept { role: "ClusterRole operator", group: "", resources: &["pods"], verbs, why: "" };
        let exec = Kept { resources: &["pods/exec"], ..kept(&["list", "create"]) };
        let findings = found(&[line(US, "list", "pods", 200)], &[kept(&["create"]), exec]);
        assert_eq!(findings, Findings::default());
        let findings = found(&[line(US, "list", "pods", 200)], &[kept(&["list", "create", "delete"]), exec]);
        let needless = ["ClusterRole operator: delete pods", "ClusterRole operator: list pods"];
        assert_eq!(findings.needless, needless.map(str::to_owned).into());
    }

    #[test]
    fn a_role_that_is_bound_in_each_namespace_has_accounts_everywhere() {
        let mut all = operators();
        for role in &mut all {
            role.accounts = ["*:operator".to_owned()].into();
        }
        let asked: Vec<Asked> =
            asked(&line("system:serviceaccount:a:operator", "list", "pods", 200)).into_iter().collect();
        assert!(!compare(&all, &asked, &[], &[]).unused.contains("ClusterRole operator: list pods"));
    }
}
