//! The people of a cluster: the members of its team, of additional teams, and of superuser teams.
//!
//! The operator asks [`asked`] whom to ask about, asks the Teams API, and [`people`] puts the answers together with what
//! `PostgresTeam` resources add. Surprising: a list of people says of itself whether it is complete. As long as one team
//! could not be asked, nobody is taken for a former member.

use std::collections::{BTreeMap, BTreeSet};

use super::name::RoleName;
use super::parameter::{ParameterName, ParameterValue};
use crate::api::PostgresTeamSpec;
use crate::config::TeamsApi;

/// What all `PostgresTeam` resources say together. They may name the same team: what they say adds up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory(BTreeMap<String, Additions>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Additions {
    members: BTreeSet<String>,
    teams: BTreeSet<String>,
    superuser_teams: BTreeSet<String>,
}

impl Directory {
    /// What these resources say.
    pub fn of<'a>(specs: impl IntoIterator<Item = &'a PostgresTeamSpec>) -> Self {
        let mut directory = Self::default();
        for spec in specs {
            directory.add(spec.additional_members.as_ref(), |team| &mut team.members);
            directory.add(spec.additional_teams.as_ref(), |team| &mut team.teams);
            directory.add(spec.additional_superuser_teams.as_ref(), |team| &mut team.superuser_teams);
        }
        directory
    }

    fn add(
        &mut self,
        section: Option<&BTreeMap<String, Option<Vec<String>>>>,
        part: fn(&mut Additions) -> &mut BTreeSet<String>,
    ) {
        for (team, named) in section.into_iter().flatten() {
            let named = named.iter().flatten().filter(|name| !name.is_empty()).cloned();
            part(self.0.entry(team.clone()).or_default()).extend(named);
        }
    }

    /// The teams that can be reached from `team`, and not it itself. Teams may name each other.
    fn reach(&self, team: &str, part: fn(&Additions) -> &BTreeSet<String>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![team.to_owned()];
        while let Some(next) = open.pop() {
            let named = self.0.get(&next).map(part).into_iter().flatten();
            let new: Vec<String> =
                named.filter(|name| *name != team && !found.contains(*name)).cloned().collect();
            found.extend(new.iter().cloned());
            open.extend(new);
        }
        found
    }
}

/// What a person may do in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// What the team's admin role may.
    Member,
    /// Everything.
    Superuser,
}

/// What the Teams API says of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its members.
    Members(Vec<String>),
    /// There is no such team.
    NoSuchTeam,
    /// It did not answer, and never has before.
    Unknown,
}

/// The people of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Everyone, by the name of the role.
    pub members: BTreeMap<RoleName, Standing>,
    /// Names that PostgreSQL would refuse or cut.
    pub unfit: Vec<String>,
    /// Whether whoever is not among them has left.
    pub complete: bool,
}

/// The teams whose members have roles in a cluster of team `owner`, and what they may do. `directory` is `None` where
/// `PostgresTeam` resources are not read.
pub fn asked(owner: &str, directory: Option<&Directory>, config: &TeamsApi) -> BTreeMap<String, Standing> {
    let mut teams = BTreeMap::new();
    let mut add = |team: String, standing: Standing| {
        let present = teams.entry(team).or_insert(standing);
        *present = standing.max(*present);
    };
    if let Some(directory) = directory.filter(|_| config.enable_postgres_team_crd) {
        directory.reach(owner, |team| &team.teams).into_iter().for_each(|team| add(team, Standing::Member));
        if config.enable_postgres_team_crd_superusers {
            let superusers = directory.reach(owner, |team| &team.superuser_teams);
            superusers.into_iter().for_each(|team| add(team, Standing::Superuser));
        }
    }
    for team in &config.postgres_superuser_teams {
        add(team.clone(), Standing::Superuser);
    }
    add(owner.to_owned(), if config.enable_team_superuser { Standing::Superuser } else { Standing::Member });
    teams.remove("");
    teams
}

/// Whether the Teams API is to be asked. The address that stands in the defaults is nobody's.
pub fn has_api(config: &TeamsApi) -> bool {
    let url = &config.teams_api_url;
    config.enable_teams_api && !url.is_empty() && *url != TeamsApi::default().teams_api_url
}

/// The members of the teams `asked`, by what the Teams API answered and what the `directory` adds. Whoever is in two
/// teams has the higher standing.
pub fn people(
    asked: &BTreeMap<String, Standing>,
    directory: Option<&Directory>,
    answers: &BTreeMap<String, Answer>,
    config: &TeamsApi,
) -> People {
    let mut people = People { complete: is_complete(asked, directory, answers, config), ..People::default() };
    for (team, standing) in asked {
        let answered = match answers.get(team) {
            Some(Answer::Members(members)) => members.as_slice(),
            Some(Answer::NoSuchTeam | Answer::Unknown) | None => &[],
        };
        let directory = directory.filter(|_| config.enable_postgres_team_crd);
        let added = directory.and_then(|directory| directory.0.get(team)).map(|team| &team.members);
        for name in answered.iter().chain(added.into_iter().flatten()).filter(|name| !name.is_empty()) {
            match name.parse::<RoleName>() {
                Ok(name) => {
                    let present = people.members.entry(name).or_insert(*standing);
                    *present = (*present).max(*standing);
                }
                Err(_) if people.unfit.contains(name) => {}
                Err(_) => people.unfit.push(name.clone()),
            }
        }
    }
    people
}

/// Whether the list of people can be trusted to be everyone: every source that is switched on has answered, one is
/// switched on at all, and the Teams API knew at least one of the teams; an address that is wrong gives "no such team" for
/// all of them.
fn is_complete(
    asked: &BTreeMap<String, Standing>,
    directory: Option<&Directory>,
    answers: &BTreeMap<String, Answer>,
    config: &TeamsApi,
) -> bool {
    let known = |team: &String| matches!(answers.get(team), Some(Answer::Members(_)));
    let answered = |team: &String| known(team) || answers.get(team) == Some(&Answer::NoSuchTeam);
    let api = !has_api(config) || (asked.keys().all(answered) && asked.keys().any(known));
    let resources = !config.enable_postgres_team_crd || directory.is_some();
    api && resources && (has_api(config) || config.enable_postgres_team_crd)
}

/// The people as roles are made of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Humans {
    /// Who they are.
    pub people: People,
    /// `pam_role_name`: everyone is a member of it, and logs in by a token instead of a password.
    pub group: Option<RoleName>,
    /// `team_admin_role`: everyone who is no superuser is a member of it.
    pub admin: Option<RoleName>,
    /// `team_api_role_configuration`: everyone's settings.
    pub parameters: BTreeMap<ParameterName, ParameterValue>,
    /// `role_deletion_suffix`, with `enable_team_member_deprecation`.
    pub suffix: Option<String>,
}

impl Humans {
    /// The people, as the configuration has them treated.
    pub fn new(people: People, config: &TeamsApi) -> Self {
        let parameters = config.team_api_role_configuration.iter().map(|(name, text)| {
            let name = ParameterName::new(name);
            let value = ParameterValue::parse(&name, text);
            (name, value)
        });
        let suffix = Some(config.role_deletion_suffix.clone()).filter(|suffix| !suffix.is_empty());
        Self {
            people,
            group: config.pam_role_name.parse().ok(),
            admin: config.team_admin_role.as_ref().and_then(|role| role.parse().ok()),
            parameters: parameters.collect(),
            suffix: suffix.filter(|_| config.enable_team_member_deprecation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(yaml: &str) -> Directory {
        Directory::of(&[serde_saphyr::from_str::<PostgresTeamSpec>(yaml).unwrap()])
    }

    fn config(change: impl FnOnce(&mut TeamsApi)) -> TeamsApi {
        let mut config = TeamsApi {
            enable_teams_api: true,
            teams_api_url: "https://teams.test/api".to_owned(),
            enable_postgres_team_crd: true,
            enable_postgres_team_crd_superusers: true,
            ..TeamsApi::default()
        };
        change(&mut config);
        config
    }

    fn teams(owner: &str, yaml: &str, config: &TeamsApi) -> Vec<String> {
        let standing = |standing| if standing == Standing::Superuser { "!" } else { "" };
        let teams = asked(owner, Some(&directory(yaml)), config);
        teams.into_iter().map(|(team, level)| format!("{team}{}", standing(level))).collect()
    }

    fn answers(entries: &[(&str, &[&str])]) -> BTreeMap<String, Answer> {
        let members = |names: &[&str]| Answer::Members(names.iter().map(|name| (*name).to_owned()).collect());
        entries.iter().map(|(team, names)| ((*team).to_owned(), members(names))).collect()
    }

    fn members(people: &People) -> Vec<String> {
        let shown = |standing: &Standing| if *standing == Standing::Superuser { "!" } else { "" };
        people.members.iter().map(|(name, standing)| format!("{name}{}", shown(standing))).collect()
    }

    #[test]
    fn additional_teams_are_followed_through_others_and_around_circles() {
        let yaml = "additionalTeams: {acid: [ops], ops: [night, acid], night: [ops, far], far: }";
        assert_eq!(teams("acid", yaml, &config(|_| ())), ["acid", "far", "night", "ops"]);
        assert_eq!(teams("night", yaml, &config(|_| ())), ["acid", "far", "night", "ops"]);
        assert_eq!(teams("far", yaml, &config(|_| ())), ["far"]);
        assert_eq!(teams("acid", "additionalTeams: {acid: [acid]}", &config(|_| ())), ["acid"]);
    }

    #[test]
    fn superuser_teams_come_from_the_configuration_and_where_allowed_from_resources() {
        let yaml =
            "{additionalSuperuserTeams: {acid: [dba], dba: [root]}, additionalTeams: {acid: [dba, ops]}}";
        let everywhere = |config: &mut TeamsApi| config.postgres_superuser_teams = vec!["sos".to_owned()];
        assert_eq!(teams("acid", yaml, &config(everywhere)), ["acid", "dba!", "ops", "root!", "sos!"]);
        let forbidden = config(|config| config.enable_postgres_team_crd_superusers = false);
        assert_eq!(teams("acid", yaml, &forbidden), ["acid", "dba", "ops"]);
        let off = config(|config| config.enable_postgres_team_crd = false);
        assert_eq!(teams("acid", yaml, &off), ["acid"]);
        let owning = config(|config| config.enable_team_superuser = true);
        assert_eq!(teams("acid", "{}", &owning), ["acid!"]);
        let mine = config(|config| config.postgres_superuser_teams = vec!["acid".to_owned()]);
        assert_eq!(teams("acid", "{}", &mine), ["acid!"]);
        assert_eq!(teams("", "{}", &config(everywhere)), ["sos!"], "no team, and yet the superusers' team");
    }

    #[test]
    fn people_come_from_the_api_and_from_resources_and_have_their_higher_standing() {
        let config = config(|config| config.postgres_superuser_teams = vec!["dba".to_owned()]);
        let directory = directory("additionalMembers: {acid: [elephant, ''], dba: [ann], other: [nobody]}");
        let asked = asked("acid", Some(&directory), &config);
        let answers = answers(&[("acid", &["ann", "bob"]), ("dba", &["cid"]), ("other", &["stranger"])]);
        let people = people(&asked, Some(&directory), &answers, &config);
        assert_eq!(members(&people), ["ann!", "bob", "cid!", "elephant"]);
        assert!(people.complete);
    }

    #[test]
    fn several_resources_add_up() {
        let one = |yaml| serde_saphyr::from_str::<PostgresTeamSpec>(yaml).unwrap();
        let specs = [one("additionalMembers: {acid: [a]}"), one("additionalMembers: {acid: [b, a]}")];
        let (directory, config) = (Directory::of(&specs), config(|_| ()));
        let asked = asked("acid", Some(&directory), &config);
        assert_eq!(members(&people(&asked, Some(&directory), &BTreeMap::new(), &config)), ["a", "b"]);
    }

    #[test]
    fn names_that_postgres_would_cut_are_told() {
        let config = config(|_| ());
        let (long, asked) = ("x".repeat(64), asked("acid", None, &config));
        let people = people(&asked, None, &answers(&[("acid", &[&long, "ann"])]), &config);
        assert_eq!((people.unfit, people.members.len()), (vec![long], 1));
    }

    #[test]
    fn a_list_is_complete_only_when_every_source_has_answered() {
        let some = Directory::default();
        let known = || answers(&[("acid", &[])]);
        let with = |answer| BTreeMap::from([("acid".to_owned(), answer)]);
        let api_only = config(|config| config.enable_postgres_team_crd = false);
        let resources_only = config(|config| config.enable_teams_api = false);
        let neither = TeamsApi { enable_teams_api: false, ..TeamsApi::default() };
        let example = TeamsApi { enable_teams_api: true, ..TeamsApi::default() };
        let table = [
            ("both answered", config(|_| ()), Some(&some), known(), true),
            ("resources unread", config(|_| ()), None, known(), false),
            ("API silent", config(|_| ()), Some(&some), with(Answer::Unknown), false),
            ("API not asked", config(|_| ()), Some(&some), BTreeMap::new(), false),
            ("API knows none of the teams", api_only.clone(), None, with(Answer::NoSuchTeam), false),
            ("API alone", api_only, None, known(), true),
            ("resources alone", resources_only.clone(), Some(&some), BTreeMap::new(), true),
            ("resources alone, unread", resources_only, None, BTreeMap::new(), false),
            ("no source", neither, Some(&some), BTreeMap::new(), false),
            ("the example's address", example, Some(&some), BTreeMap::new(), false),
        ];
        for (what, config, directory, answers, complete) in table {
            let asked = asked("acid", directory, &config);
            assert_eq!(people(&asked, directory, &answers, &config).complete, complete, "{what}");
        }
        let two = config(|config| config.postgres_superuser_teams = vec!["dba".to_owned()]);
        let mut answers = known();
        answers.insert("dba".to_owned(), Answer::NoSuchTeam);
        let asked = asked("acid", Some(&some), &two);
        assert!(people(&asked, Some(&some), &answers, &two).complete, "one team is known, the other is none");
    }
}
