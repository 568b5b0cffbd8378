//! `PostgresTeam`: names that can name teams and roles, no team that names itself, and a word about circles.
//!
//! What all of these objects say adds up, and the operator follows a team's further teams to the end. A circle is
//! therefore read well, and two teams that share their clusters write one; but everybody in it gets into every cluster
//! of it, which is worth a warning, the more so where it makes superusers.

use std::collections::BTreeMap;

use crate::api::PostgresTeam;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::text;

/// For each team, the teams or members that are added to it.
type Additions = Option<BTreeMap<String, Option<Vec<String>>>>;

fn sections(team: &PostgresTeam) -> [(&'static str, &Additions); 2] {
    [
        ("additionalSuperuserTeams", &team.spec.additional_superuser_teams),
        ("additionalTeams", &team.spec.additional_teams),
    ]
}

/// Everything that is wrong with the names in it.
pub(crate) fn team(team: &PostgresTeam, errors: &mut FieldErrors) {
    for (section, additions) in sections(team) {
        let path = FieldPath::spec().field(section);
        for (name, others) in additions.iter().flatten() {
            team_name(&path.key(name), name, errors);
            entries(&path.key(name), others.as_deref(), errors, |path, other, errors| {
                team_name(&path, other, errors);
                if other == name && !name.is_empty() {
                    errors.invalid(
                        path,
                        format!("is \"{other}\" itself; name another team or remove the line"),
                    );
                }
            });
        }
    }
    let path = FieldPath::spec().field("additionalMembers");
    for (name, members) in team.spec.additional_members.iter().flatten() {
        team_name(&path.key(name), name, errors);
        entries(&path.key(name), members.as_deref(), errors, |path, member, errors| {
            member_name(path, member, errors)
        });
    }
}

/// Runs `check` over a list, and says what stands in it twice.
fn entries(
    path: &FieldPath,
    list: Option<&[String]>,
    errors: &mut FieldErrors,
    check: impl Fn(FieldPath, &str, &mut FieldErrors),
) {
    let mut seen: Vec<&String> = Vec::new();
    for (index, entry) in list.into_iter().flatten().enumerate() {
        if seen.contains(&entry) {
            errors.duplicate(path.index(index), format!("\"{entry}\" stands here twice; remove one"));
        } else {
            check(path.index(index), entry, errors);
            seen.push(entry);
        }
    }
}

/// A team is what a manifest's `teamId` can be, and that becomes a label.
fn team_name(path: &FieldPath, name: &str, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path.clone(), "is empty; write the teamId of a team");
    } else if !text::is_label_value(name) {
        let message = format!(
            "\"{name}\" cannot be a teamId; use at most 63 letters, digits, dashes, dots and underscores, beginning \
             and ending with a letter or digit"
        );
        errors.invalid(path.clone(), message);
    }
}

/// A member becomes a role.
fn member_name(path: FieldPath, name: &str, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "is empty; write the name of a member");
    } else if name.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\'')) {
        errors.invalid(path, format!("{name:?} cannot name a role; leave out blanks and quotes"));
    } else if name.len() > text::LONGEST_NAME {
        errors.too_long(path, format!("has {} bytes; PostgreSQL keeps 63 of a name", name.len()));
    } else if text::is_reserved_by_postgres(name) || ["public", "none"].contains(&name) {
        errors.forbidden(path, format!("\"{name}\" is reserved by PostgreSQL; it cannot be a member"));
    }
}

/// The circles that `new` closes, alone or with the `others`.
pub(crate) fn circles(new: &PostgresTeam, others: &[PostgresTeam]) -> Vec<Change> {
    let mut changes = Vec::new();
    let same = |other: &PostgresTeam| {
        (&other.metadata.namespace, &other.metadata.name) == (&new.metadata.namespace, &new.metadata.name)
    };
    for (at, (section, additions)) in sections(new).into_iter().enumerate() {
        let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let all = others.iter().filter(|other| !same(other)).chain([new]);
        for additions in
            all.filter_map(|one| sections(one).into_iter().nth(at)).map(|(_, additions)| additions)
        {
            for (name, further) in additions.iter().flatten() {
                graph.entry(name).or_default().extend(further.iter().flatten().map(String::as_str));
            }
        }
        let gained = if at == 0 { "is a superuser in" } else { "gets a role in" };
        for (name, further) in additions.iter().flatten() {
            let path = FieldPath::spec().field(section).key(name);
            for (index, other) in further.iter().flatten().enumerate() {
                let Some(way) = way(&graph, other, name).filter(|_| other != name) else { continue };
                let circle: Vec<&str> = std::iter::once(name.as_str()).chain(way).collect();
                changes.push(Change {
                    field: path.index(index),
                    effect: Effect::Ignored,
                    message: format!(
                        "closes the circle {}: each member {gained} all their clusters",
                        circle.join(" → ")
                    ),
                });
            }
        }
    }
    changes
}

/// The shortest way from one team to another over the teams each adds, both ends included.
fn way<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    let mut seen = vec![from];
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for next in graph.get(last).into_iter().flatten() {
            if !seen.contains(next) {
                seen.push(next);
                ways.push_back(way.iter().chain([next]).copied().collect());
            }
        }
    }
    None
}
