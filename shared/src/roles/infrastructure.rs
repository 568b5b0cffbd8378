//! Infrastructure roles: roles that every cluster has, named in the configuration, described in Secrets and ConfigMaps.
//!
//! `operator` hands in what it read, [`read`] makes roles of it for `desired`. There are three forms: a definition that
//! names the keys of a Secret; the numbered keys of older installations (`user1`, `password1`, `inrole1`, `user2`, …); and,
//! beside either of them, a ConfigMap of the Secret's name with one role per key, whose password stands under the same
//! key in the Secret. Surprising: problems name keys and never what stands under them, not even a user's name, because
//! somebody who mixes up the keys has a password there.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::flags::RoleFlags;
use super::name::RoleName;
use super::parameter::{ParameterName, ParameterValue};
use crate::config::{InfrastructureRole as Definition, OperatorConfig};

/// A role as a Secret gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenRole {
    /// Its attributes; `LOGIN` unless said otherwise.
    pub flags: RoleFlags,
    /// The roles it is a member of.
    pub member_of: Vec<RoleName>,
    /// The role that may grant it on.
    pub admin: Option<RoleName>,
    /// Its settings.
    pub parameters: BTreeMap<ParameterName, ParameterValue>,
    /// Its password in every cluster.
    pub password: GivenPassword,
}

/// A password that somebody else chose; or a complete verifier.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenPassword(String);

impl GivenPassword {
    /// The password itself: for the Secret of the role and for the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GivenPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenPassword(…)")
    }
}

/// The infrastructure roles, and what is wrong with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// The roles; of two with one name the later one.
    pub roles: BTreeMap<RoleName, GivenRole>,
    /// What could not be made a role, told without values.
    pub problems: Vec<String>,
}

/// A Secret and the ConfigMap of its name, as far as they are there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The Secret's data, as text; `None` where there is no such Secret.
    pub secret: Option<BTreeMap<String, String>>,
    /// The ConfigMap's data.
    pub config_map: BTreeMap<String, String>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(…)")
    }
}

/// The further description of a role, in YAML.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Description {
    inrole: Option<Vec<String>>,
    user_flags: Option<Vec<String>>,
    db_parameters: Option<BTreeMap<String, Value>>,
    admin_role: Option<String>,
}

/// Every Secret that the configuration names, in upstream's order: the numbered form last.
pub fn definitions(config: &OperatorConfig) -> Vec<Definition> {
    let numbered = config.kubernetes.infrastructure_roles_secret_name.iter().map(|secret| Definition {
        secretname: secret.clone(),
        userkey: "user".to_owned(),
        passwordkey: "password".to_owned(),
        rolekey: Some("inrole".to_owned()),
        defaultuservalue: None,
        defaultrolevalue: None,
        details: None,
        template: true,
    });
    config.kubernetes.infrastructure_roles_secrets.iter().cloned().chain(numbered).collect()
}

/// The roles behind the definitions, each with what was read for it.
pub fn read<'a>(sources: impl IntoIterator<Item = (&'a Definition, &'a Sources)>) -> Infrastructure {
    let mut all = Infrastructure::default();
    for (definition, sources) in sources {
        Reading { definition, sources, all: &mut all }.everything();
    }
    all
}

/// One definition while it is being read.
struct Reading<'a> {
    definition: &'a Definition,
    sources: &'a Sources,
    all: &'a mut Infrastructure,
}

impl Reading<'_> {
    fn everything(&mut self) {
        let (definition, sources) = (self.definition, self.sources);
        let Some(secret) = &sources.secret else {
            self.problem("does not exist; write it, or take it out of the configuration");
            return;
        };
        if definition.template {
            self.numbered(secret);
        } else {
            self.single(secret);
        }
        for (name, text) in &sources.config_map {
            let password = secret.get(name).map(String::as_str).unwrap_or_default();
            let description = self.description(&format!("ConfigMap's key {name}"), text);
            if let Some(description) = description {
                self.add((name, name), (name, password), description);
            }
        }
    }

    /// `user1`, `password1`, `inrole1`, and so on until a number is missing.
    fn numbered(&mut self, secret: &BTreeMap<String, String>) {
        let definition = self.definition;
        for number in 1_usize.. {
            let (user_key, password_key) =
                (format!("{}{number}", definition.userkey), format!("{}{number}", definition.passwordkey));
            let Some(user) = secret.get(&user_key) else { return };
            let password = secret.get(&password_key).map(String::as_str).unwrap_or_default();
            let role = definition.rolekey.as_ref().and_then(|key| secret.get(&format!("{key}{number}")));
            let description = Description { inrole: Some(nonempty(role)), ..Description::default() };
            self.add((&user_key, user), (&password_key, password), description);
        }
    }

    fn single(&mut self, secret: &BTreeMap<String, String>) {
        let definition = self.definition;
        let given = |key: &str| secret.get(key).filter(|text| !text.is_empty());
        let user = given(&definition.userkey).or(definition.defaultuservalue.as_ref());
        let role = definition.rolekey.as_deref().and_then(given).or(definition.defaultrolevalue.as_ref());
        let details = definition.details.as_ref().and_then(|key| Some((key, secret.get(key)?)));
        let described = details.map_or_else(
            || Some(Description::default()),
            |(key, text)| self.description(&format!("key {key}"), text),
        );
        let Some(mut description) = described else { return };
        description.inrole.get_or_insert_default().extend(nonempty(role));
        let user = user.map(String::as_str).unwrap_or_default();
        let password = given(&definition.passwordkey).map(String::as_str).unwrap_or_default();
        self.add((&definition.userkey, user), (&definition.passwordkey, password), description);
    }

    fn description(&mut self, place: &str, text: &str) -> Option<Description> {
        let read = serde_saphyr::from_str::<Option<Description>>(text);
        if read.is_err() {
            // The parser's own words may quote what it read.
            self.problem(&format!(
                "is left out at {place}: write YAML with inrole, user_flags, db_parameters or admin_role"
            ));
        }
        read.ok().map(Option::unwrap_or_default)
    }

    /// A role, from the keys and values of its name and its password.
    fn add(&mut self, user: (&str, &str), password: (&str, &str), description: Description) {
        if user.1.is_empty() || password.1.is_empty() {
            let missing = if user.1.is_empty() { user.0 } else { password.0 };
            self.problem(&format!("gives no role at {}: {missing} is missing or empty", user.0));
            return;
        }
        match given(user.1, password.1, description) {
            Ok((name, role)) => drop(self.all.roles.insert(name, role)),
            Err(wrong) => self.problem(&format!("gives no role at {}: {wrong}", user.0)),
        }
    }

    fn problem(&mut self, text: &str) {
        let secret = &self.definition.secretname.name;
        self.all.problems.push(format!("infrastructure roles: Secret {secret} {text}"));
    }
}

/// The role, or what is wrong with it.
fn given(user: &str, password: &str, description: Description) -> Result<(RoleName, GivenRole), String> {
    let role_name = |what: &str, text: &str| text.parse().map_err(|error| format!("{what} {error}"));
    let member_of = description.inrole.unwrap_or_default();
    let mut member_of: Vec<RoleName> =
        member_of.iter().map(|role| role_name("inrole", role)).collect::<Result<_, _>>()?;
    member_of.sort();
    member_of.dedup();
    let flags = RoleFlags::parse(&description.user_flags.unwrap_or_default())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))?;
    let admin = description.admin_role.filter(|role| !role.is_empty());
    let admin = admin.map(|role| role_name("admin_role", &role)).transpose()?;
    let parameters = description.db_parameters.unwrap_or_default();
    let parameters = parameters.into_iter().map(parameter).collect::<Result<_, _>>()?;
    let password = GivenPassword(password.to_owned());
    Ok((role_name("the name", user)?, GivenRole { flags, member_of, admin, parameters, password }))
}

/// A setting of a role; YAML may have read its value as a number or as a truth.
fn parameter((name, value): (String, Value)) -> Result<(ParameterName, ParameterValue), String> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(on) => on.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(format!("db_parameters.{name} must be a text, a number, true or false"));
        }
    };
    let name = ParameterName::new(&name);
    let value = ParameterValue::parse(&name, &text);
    Ok((name, value))
}

fn nonempty(text: Option<&String>) -> Vec<String> {
    text.filter(|text| !text.is_empty()).cloned().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Attribute;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    fn sources(secret: &[(&str, &str)], config_map: &[(&str, &str)]) -> Sources {
        Sources { secret: Some(map(secret)), config_map: map(config_map) }
    }

    fn definition(yaml: &str) -> Definition {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn named(yaml: &str) -> Definition {
        definition(&format!("{{secretname: infra, userkey: user, passwordkey: pass, {yaml}}}"))
    }

    fn numbered() -> Definition {
        let mut config = OperatorConfig::default();
        config.kubernetes.infrastructure_roles_secret_name = Some("default/infra".parse().unwrap());
        definitions(&config).remove(0)
    }

    /// Each role as `name:password→memberships`.
    fn told(infrastructure: &Infrastructure) -> Vec<String> {
        let role = |(name, role): (&RoleName, &GivenRole)| {
            let groups: Vec<&str> = role.member_of.iter().map(RoleName::as_str).collect();
            format!("{name}:{}→{}", role.password.as_str(), groups.join(","))
        };
        infrastructure.roles.iter().map(role).collect()
    }

    #[test]
    fn a_definition_names_the_keys_of_a_secret() {
        let secret = sources(&[("user", "robot"), ("pass", "x"), ("group", "readers")], &[]);
        let table = [
            ("rolekey: group", "robot:x→readers"),
            ("rolekey: absent, defaultrolevalue: writers", "robot:x→writers"),
            ("defaultuservalue: nobody", "robot:x→"),
        ];
        for (yaml, expected) in table {
            assert_eq!(told(&read([(&named(yaml), &secret)])), [expected], "{yaml}");
        }
        let defaulted = definition(
            "{secretname: infra, userkey: absent, passwordkey: pass, defaultuservalue: spare, rolekey: ''}",
        );
        assert_eq!(told(&read([(&defaulted, &secret)])), ["spare:x→"]);
    }

    #[test]
    fn details_add_flags_and_settings() {
        let details = "user_flags: [createdb]\ninrole: [readers]\ndb_parameters: {work_mem: 4MB, jit: off}";
        let secret = sources(&[("user", "robot"), ("pass", "x"), ("more", details)], &[]);
        let read = read([(&named("details: more, defaultrolevalue: writers"), &secret)]);
        assert_eq!(told(&read), ["robot:x→readers,writers"]);
        let role = read.roles.values().next().unwrap();
        assert!(role.flags.iter().any(|flag| flag == (Attribute::CreateDb, true)) && role.flags.login());
        assert_eq!(role.parameters.len(), 2);
    }

    #[test]
    fn numbered_roles_end_where_a_number_is_missing() {
        let secret = sources(
            &[
                ("user1", "dbuser"),
                ("password1", "secret"),
                ("inrole1", "operator"),
                ("user2", "batman"),
                ("password2", "cave"),
                ("user4", "never"),
                ("password4", "read"),
            ],
            &[],
        );
        assert_eq!(told(&read([(&numbered(), &secret)])), ["batman:cave→", "dbuser:secret→operator"]);
    }

    #[test]
    fn a_config_map_of_the_same_name_describes_roles_whose_passwords_are_in_the_secret() {
        let yaml = "inrole: [admin]\nuser_flags: [superuser, nologin]\ndb_parameters: {log_statement: all}\nadmin_role: boss";
        let sources = sources(
            &[("user1", "dbuser"), ("password1", "secret"), ("robot", "brick"), ("plain", "p")],
            &[("robot", yaml), ("plain", ""), ("lost", "inrole: []")],
        );
        let read = read([(&numbered(), &sources)]);
        assert_eq!(told(&read), ["dbuser:secret→", "plain:p→", "robot:brick→admin"]);
        let robot = &read.roles[&"robot".parse().unwrap()];
        assert!(!robot.flags.login());
        assert_eq!(robot.admin, Some("boss".parse().unwrap()));
        assert_eq!(
            read.problems,
            ["infrastructure roles: Secret infra gives no role at lost: lost is missing or empty"]
        );
    }

    #[test]
    fn the_later_of_two_roles_with_one_name_wins() {
        let (one, other) = (
            sources(&[("user", "robot"), ("pass", "1")], &[]),
            sources(&[("user", "robot"), ("pass", "2")], &[]),
        );
        let definition = named("rolekey: r");
        assert_eq!(told(&read([(&definition, &one), (&definition, &other)])), ["robot:2→"]);
    }

    #[test]
    fn a_problem_names_keys_and_never_values() {
        let long = "hunter2".repeat(10);
        let table: &[(Sources, &str)] = &[
            (Sources::default(), "does not exist; write it, or take it out of the configuration"),
            (sources(&[("user", "hunter2")], &[]), "gives no role at user: pass is missing or empty"),
            (sources(&[("pass", "hunter2")], &[]), "gives no role at user: user is missing or empty"),
            (
                sources(&[("user", &long), ("pass", "hunter2")], &[]),
                "gives no role at user: the name is 70 bytes long; PostgreSQL keeps 63",
            ),
            (
                sources(&[("user", "a"), ("pass", "hunter2"), ("more", "user_flags: hunter2")], &[]),
                "is left out at key more: write YAML with inrole, user_flags, db_parameters or admin_role",
            ),
        ];
        for (sources, expected) in table {
            let read = read([(&named("details: more"), sources)]);
            assert_eq!(read.problems, [format!("infrastructure roles: Secret infra {expected}")]);
            assert_eq!(read.roles.len(), 0, "{expected}");
            assert!(!format!("{read:?}{sources:?}").contains("hunter2"));
        }
    }

    #[test]
    fn no_form_of_a_given_role_shows_its_password() {
        let secret = sources(&[("user", "robot"), ("pass", "hunter2")], &[]);
        assert!(!format!("{:#?}", read([(&named("rolekey: r"), &secret)])).contains("hunter2"));
    }
}
