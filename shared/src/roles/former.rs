//! Former members of teams: their roles are renamed and lose their login, and get both back when the people return.
//!
//! `plan` asks, before and after everything else. Nothing is remembered outside the database, and no stranger's role is
//! ever renamed, because each member's role carries our [`MARK`], a comment. A role is a former member's when
//!
//! 1. its comment is the mark, so that it was a wanted member once;
//! 2. it still is a direct member of `pam_role_name`;
//! 3. nobody wants it: no team, no manifest, no Secret; and its name is not a protected one;
//! 4. the list of people is complete: every source answered.
//!
//! A returning member's role is recognised by the mark or, as upstream leaves it, by being a member of `pam_role_name`
//! without login and password; its name has to be the person's and the suffix either way. A role with a comment of
//! somebody else's is never marked: writing one keeps a role as it is. Surprising: upstream knows former members only
//! from its memory, so whoever leaves while it is not running keeps the role.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::catalog::{Catalog, ExistingRole};
use super::flags::{Attribute, RoleFlags};
use super::name::RoleName;
use super::statement::Statement;
use super::{Origin, Role, RoleSet};

/// The comment by which a member's role is known.
pub const MARK: &str = "Team member, made by the Postgres operator. It renames this role and takes its login when the \
                        person leaves the team. Another comment in place of this one keeps the role as it is.";

/// What becomes of former members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// What is appended to their names.
    pub suffix: String,
    /// The role that every member is a member of.
    pub group: RoleName,
    /// Names that are never touched.
    pub spared: BTreeSet<RoleName>,
    /// Whether whoever is not wanted has left. Otherwise members return and nobody leaves.
    pub complete: bool,
}

impl Former {
    /// The name of a role once its person has left; `None` when PostgreSQL would cut it.
    fn renamed(&self, name: &RoleName) -> Option<RoleName> {
        format!("{name}{}", self.suffix).parse().ok()
    }
}

/// What brings back the roles of returning members, and the catalog as it is then.
pub(super) fn returning<'a>(desired: &RoleSet, catalog: &'a Catalog) -> (Vec<Statement>, Cow<'a, Catalog>) {
    let mut catalog = Cow::Borrowed(catalog);
    let mut statements = Vec::new();
    let Some(former) = &desired.former else { return (statements, catalog) };
    for role in members(desired).filter(|role| !former.spared.contains(&role.name)) {
        let Some(from) = former.renamed(&role.name).filter(|from| desired.role(from).is_none()) else {
            continue;
        };
        let left = catalog.roles.get(&from).is_some_and(|existing| has_left(existing, former));
        if left && !catalog.roles.contains_key(&role.name) {
            rename(catalog.to_mut(), &from, &role.name);
            statements.push(Statement::RenameRole { from, to: role.name.clone() });
        }
    }
    (statements, catalog)
}

/// What marks the roles of members who have no comment yet; `catalog` is the one of before they were made.
pub(super) fn mark(role: &Role, catalog: &Catalog) -> Option<Statement> {
    let comment = catalog.roles.get(&role.name).and_then(|existing| existing.comment.as_ref());
    let name = role.name.clone();
    (role.origin == Origin::Team && comment.is_none()).then_some(Statement::MarkRole { name })
}

/// What takes the login and the name of those who have left. A name that is taken keeps the role under its own.
pub(super) fn leaving(desired: &RoleSet, catalog: &Catalog) -> Vec<Statement> {
    let Some(former) = desired.former.as_ref().filter(|former| former.complete) else { return Vec::new() };
    let mut statements = Vec::new();
    let left = catalog.roles.iter().filter(|(name, existing)| {
        is_marked(existing)
            && existing.member_of.contains_key(&former.group)
            && desired.role(name).is_none()
            && !former.spared.contains(name)
    });
    for (name, existing) in left {
        if existing.attributes.contains(&Attribute::Login) {
            let flags = RoleFlags::new([(Attribute::Login, false)]);
            statements.push(Statement::AlterRoleFlags { name: name.clone(), flags });
        }
        let free = |to: &RoleName| !catalog.roles.contains_key(to) && desired.role(to).is_none();
        let renamed = if name.as_str().ends_with(&former.suffix) { None } else { former.renamed(name) };
        if let Some(to) = renamed.filter(free) {
            statements.push(Statement::RenameRole { from: name.clone(), to });
        }
    }
    statements
}

fn members(desired: &RoleSet) -> impl Iterator<Item = &Role> {
    desired.roles.iter().filter(|role| role.origin == Origin::Team)
}

fn is_marked(existing: &ExistingRole) -> bool {
    existing.comment.as_deref() == Some(MARK)
}

/// Whether a role with the suffix in its name is a former member's.
fn has_left(existing: &ExistingRole, former: &Former) -> bool {
    let locked = !existing.attributes.contains(&Attribute::Login) && existing.verifier.is_none();
    existing.member_of.contains_key(&former.group) && (is_marked(existing) || locked)
}

fn rename(catalog: &mut Catalog, from: &RoleName, to: &RoleName) {
    if let Some(existing) = catalog.roles.remove(from) {
        catalog.roles.insert(to.clone(), existing);
    }
    for existing in catalog.roles.values_mut() {
        if let Some(membership) = existing.member_of.remove(from) {
            existing.member_of.insert(to.clone(), membership);
        }
    }
    for database in catalog.databases.values_mut().filter(|database| database.owner == *from) {
        database.owner = to.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::catalog::Membership;
    use crate::roles::team::{Humans, People, Standing};
    use crate::roles::{Passwords, RoleInputs, Verifier, desired, plan};

    fn name(text: &str) -> RoleName {
        text.parse().unwrap()
    }

    fn humans(people: &[&str]) -> Humans {
        let members = people.iter().map(|person| (name(person), Standing::Member)).collect();
        Humans {
            people: People { members, unfit: Vec::new(), complete: true },
            group: Some(name("zalandos")),
            admin: None,
            parameters: Default::default(),
            suffix: Some("_deleted".to_owned()),
        }
    }

    fn wanted(humans: Humans) -> RoleSet {
        let users = [(name("app"), RoleFlags::parse::<&str>(&[]).unwrap())].into();
        let protected = [name("sacred")].into();
        desired(&RoleInputs {
            users,
            protected,
            humans,
            ..RoleInputs::bare(name("postgres"), name("standby"))
        })
    }

    /// The role of a member, as we leave it.
    fn member() -> ExistingRole {
        ExistingRole {
            attributes: [Attribute::Inherit, Attribute::Login].into(),
            member_of: [(name("zalandos"), Membership::Member)].into(),
            comment: Some(MARK.to_owned()),
            ..ExistingRole::default()
        }
    }

    fn without_login(role: ExistingRole) -> ExistingRole {
        ExistingRole { attributes: [Attribute::Inherit].into(), ..role }
    }

    fn planned(desired: &RoleSet, roles: &[(&str, ExistingRole)]) -> Vec<String> {
        let roles = roles.iter().map(|(role, existing)| (name(role), existing.clone())).collect();
        let catalog = Catalog { roles, ..Catalog::default() };
        plan(desired, &Passwords::default(), &catalog).iter().map(Statement::to_sql).collect()
    }

    #[test]
    fn a_member_is_made_marked_and_then_left_in_peace() {
        let expected = [
            r#"CREATE ROLE "ann" LOGIN PASSWORD NULL"#.to_owned(),
            r#"GRANT "zalandos" TO "ann""#.to_owned(),
            format!(r#"COMMENT ON ROLE "ann" IS '{MARK}'"#),
        ];
        assert_eq!(planned(&wanted(humans(&["ann"])), &[]), expected);
        assert_eq!(planned(&wanted(humans(&["ann"])), &[("ann", member())]), [""; 0]);
    }

    #[test]
    fn who_leaves_loses_login_and_name_and_gets_both_back() {
        let left = [r#"ALTER ROLE "ann" NOLOGIN"#, r#"ALTER ROLE "ann" RENAME TO "ann_deleted""#];
        assert_eq!(planned(&wanted(humans(&[])), &[("ann", member())]), left);

        let gone = [("ann_deleted", without_login(member()))];
        assert_eq!(planned(&wanted(humans(&[])), &gone), [""; 0], "once is enough");

        let back = [r#"ALTER ROLE "ann_deleted" RENAME TO "ann""#, r#"ALTER ROLE "ann" LOGIN"#];
        assert_eq!(planned(&wanted(humans(&["ann"])), &gone), back);
    }

    #[test]
    fn a_taken_name_keeps_the_role_under_its_own_without_login() {
        let stranger = ExistingRole::default();
        let roles = |ann| [("ann", ann), ("ann_deleted", stranger.clone())];
        assert_eq!(planned(&wanted(humans(&[])), &roles(member())), [r#"ALTER ROLE "ann" NOLOGIN"#]);
        assert_eq!(planned(&wanted(humans(&[])), &roles(without_login(member()))), [""; 0]);
        let back = planned(&wanted(humans(&["ann"])), &roles(without_login(member())));
        assert_eq!(back, [r#"ALTER ROLE "ann" LOGIN"#]);
        let long = "x".repeat(60);
        let kept = planned(&wanted(humans(&[])), &[(&long, member())]);
        assert_eq!(kept, [format!(r#"ALTER ROLE "{long}" NOLOGIN"#)], "the new name would be too long");
    }

    #[test]
    fn a_role_that_upstream_renamed_is_taken_back_and_marked() {
        let renamed = without_login(ExistingRole { comment: None, ..member() });
        let back = planned(&wanted(humans(&["ann"])), &[("ann_deleted", renamed)]);
        assert_eq!(back[..2], [r#"ALTER ROLE "ann_deleted" RENAME TO "ann""#, r#"ALTER ROLE "ann" LOGIN"#]);
        assert!(back[2].starts_with(r#"COMMENT ON ROLE "ann""#) && back.len() == 3, "{back:#?}");
    }

    #[test]
    fn no_strangers_role_is_ever_renamed() {
        let table = [
            ("bob", ExistingRole { comment: None, ..member() }, "never marked"),
            ("bob", ExistingRole { comment: Some("mine".to_owned()), ..member() }, "another comment"),
            ("bob", ExistingRole { member_of: Default::default(), ..member() }, "no member of the group"),
            ("app", ExistingRole { comment: Some(MARK.to_owned()), ..member() }, "a user of the manifest"),
            ("sacred", member(), "a protected name"),
            ("postgres", member(), "Patroni's"),
        ];
        for (role, existing, why) in table {
            assert_eq!(planned(&wanted(humans(&[])), &[(role, existing)]), [""; 0], "{why}");
        }
        let password = Some(Verifier::stored("md5".to_owned()));
        let foreign = [
            ExistingRole { comment: None, ..member() },
            without_login(ExistingRole { comment: None, member_of: Default::default(), ..member() }),
            without_login(ExistingRole { comment: None, verifier: password, ..member() }),
        ];
        for existing in foreign {
            let made = planned(&wanted(humans(&["ann"])), &[("ann_deleted", existing)]);
            assert_eq!(made[0], r#"CREATE ROLE "ann" LOGIN PASSWORD NULL"#);
        }
    }

    #[test]
    fn a_comment_of_somebody_elses_stays() {
        let own = ExistingRole { comment: Some("our best analyst".to_owned()), ..member() };
        assert_eq!(planned(&wanted(humans(&["ann"])), &[("ann", own)]), [""; 0]);
    }

    #[test]
    fn nobody_leaves_while_the_list_is_incomplete_or_the_option_is_off() {
        let mut incomplete = humans(&[]);
        incomplete.people.complete = false;
        assert_eq!(planned(&wanted(incomplete), &[("ann", member())]), [""; 0]);
        let off = Humans { suffix: None, ..humans(&[]) };
        assert_eq!(planned(&wanted(off), &[("ann", member())]), [""; 0]);
    }

    #[test]
    fn who_returns_while_the_list_is_incomplete_is_let_in() {
        let mut incomplete = humans(&["ann"]);
        incomplete.people.complete = false;
        let back = planned(&wanted(incomplete), &[("ann_deleted", without_login(member()))]);
        assert_eq!(back.len(), 2, "{back:#?}");
    }
}
