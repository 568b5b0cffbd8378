//! When a password changes by itself, and what becomes of the login roles that this leaves behind.
//!
//! The operator asks [`decide`] for every Secret at every look, carries the decision out in the database first and in
//! the Secret after that. Two ways, as upstream has them:
//!
//! ```text
//! new user   app ──► app261122 (a member of app) ──► app270220 …   old ones keep working until their time is up
//! in place   app, with another password                            who connects meanwhile reads the Secret again
//! ```
//!
//! Surprising: the date in a login role's name is all that is remembered of a rotation. So a role is taken for one of
//! ours only when its name is exactly the user's and six digits that are a day, *and* it is a member of that user;
//! upstream drops whatever begins with the user's name and ends in digits.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::catalog::{Catalog, ExistingRole};
use super::flags::{Attribute, RoleFlags};
use super::name::{InvalidName, RoleName};
use super::parameter::ParameterValue;
use super::statement::Statement;
use super::{Keeper, Origin, Role, RoleSet};

/// The key of a Secret that says when its password changes next (RFC 3339); it is empty once rotation was switched off.
pub const NEXT_ROTATION_KEY: &str = "nextRotation";

/// Whose password changes, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// `enable_password_rotation`: users of the manifest and login roles of prepared databases, but no owners.
    pub everyone: bool,
    /// Days between two changes.
    pub interval: u32,
    /// Days that a replaced login role is kept; at least two intervals.
    pub retention: u32,
    /// `usersWithSecretRotation`.
    pub new_user: BTreeSet<RoleName>,
    /// `usersWithInPlaceSecretRotation`.
    pub in_place: BTreeSet<RoleName>,
    /// `usersIgnoringSecretRotation`; stronger than any of the others.
    pub exempt: BTreeSet<RoleName>,
}

/// How a role's password changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Off,
    /// Each time a new login role takes over.
    NewUser,
    /// The role gets another password.
    InPlace,
}

/// What a Secret says of its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The role that logs in: the role itself, or one that a rotation made for it.
    pub username: RoleName,
    /// When the password changes next, if that is a date.
    pub next: Option<Timestamp>,
    /// Whether there ever was such a date.
    pub rotated_once: bool,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// The next change gets another date.
    Date(Timestamp),
    /// A new password for this role, which may be a new one, and the next date.
    Rotate {
        /// The role that logs in from now on.
        username: RoleName,
        /// When the password changes next.
        next: Timestamp,
    },
    /// Rotation was switched off while a login role stood in for the user: the user logs in itself again, with a new
    /// password and without a date.
    Return,
}

impl Rotation {
    /// How the password of `role` changes. Patroni's roles keep theirs: the running pods know no other. The pooler's and
    /// the streams' users change in place, because their clients are told one name for good; infrastructure roles take
    /// their password from their own Secret.
    pub fn mode(&self, role: &Role) -> Mode {
        let (by_default, by_name, fixed_name) = match role.origin {
            Origin::Manifest | Origin::Prepared => (!role.owns_databases, true, false),
            Origin::Pooler | Origin::Stream => (false, true, true),
            Origin::Infrastructure | Origin::Team | Origin::System => (false, false, true),
        };
        let in_place = self.in_place.contains(&role.name);
        let named = by_name && (in_place || self.new_user.contains(&role.name));
        let asked = named || (self.everyone && by_default);
        let possible =
            role.wants_password && role.keeper == Keeper::Operator && !self.exempt.contains(&role.name);
        match (asked && possible, in_place || fixed_name) {
            (false, _) => Mode::Off,
            (true, true) => Mode::InPlace,
            (true, false) => Mode::NewUser,
        }
    }

    fn next(&self, now: Timestamp) -> Timestamp {
        now.checked_add(days(self.interval.max(1))).unwrap_or(now)
    }
}

fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(count).saturating_mul(24))
}

/// What is due for the Secret of `user`.
///
/// # Errors
/// The login role of this rotation could not be named: the user's name leaves no room for six digits.
pub fn decide(
    user: &RoleName,
    mode: Mode,
    login: &Login,
    rotation: &Rotation,
    now: Timestamp,
) -> Result<Decision, InvalidName> {
    let stands_in = login.username != *user;
    let next = rotation.next(now);
    let due = login.next.is_some_and(|date| now > date);
    Ok(match mode {
        Mode::Off if stands_in => Decision::Return,
        Mode::Off => Decision::Keep,
        // From a new user each time to in place: at once, because the Secret names another role.
        Mode::InPlace if stands_in || due => Decision::Rotate { username: user.clone(), next },
        Mode::NewUser if due => Decision::Rotate { username: named(user, now)?, next },
        Mode::InPlace | Mode::NewUser if login.next.is_none_or(|date| date > next) => Decision::Date(next),
        Mode::InPlace | Mode::NewUser => Decision::Keep,
    })
}

/// The login role of a rotation on that day (UTC): `app261122`.
fn named(user: &RoleName, now: Timestamp) -> Result<RoleName, InvalidName> {
    format!("{user}{}", now.to_zoned(TimeZone::UTC).strftime("%y%m%d")).parse()
}

/// The day on which a rotation made the login role `name` for `user`; `None` for any other name.
pub fn made_on(user: &RoleName, name: &RoleName) -> Option<Date> {
    let digits = name.as_str().strip_prefix(user.as_str())?;
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i8>().ok();
    Date::new(2000 + i16::from(part(0..2)?), part(2..4)?, part(4..6)?).ok()
}

/// The roles with those that stand in for some: each a member of its user, with the user's attributes and settings.
/// The users themselves keep whatever password they have.
pub fn with_stand_ins(roles: &RoleSet, logins: &BTreeMap<RoleName, Login>, catalog: &Catalog) -> RoleSet {
    let mut roles = roles.clone();
    let mut stand_ins = Vec::new();
    for role in &mut roles.roles {
        let Some(login) = logins.get(&role.name).filter(|login| login.username != role.name) else {
            continue;
        };
        let stored = catalog.roles.get(&role.name).map(|existing| &existing.parameters);
        let stored = stored
            .into_iter()
            .flatten()
            .map(|(name, text)| (name.clone(), ParameterValue::parse(name, text)));
        let mut parameters: BTreeMap<_, _> = stored.collect();
        parameters.extend(role.parameters.clone());
        let member_of = vec![role.name.clone()];
        stand_ins.push(Role { name: login.username.clone(), member_of, parameters, ..role.clone() });
        role.wants_password = false;
    }
    roles.roles.extend(stand_ins);
    roles.roles.sort_by(|one, other| one.name.cmp(&other.name));
    roles
}

/// What drops the login roles that stood in for a user and whose time is up. One that things belong to cannot be dropped,
/// and giving those away could block whoever uses them: it can only no longer log in, until somebody has done that.
///
/// Only of users that have ever been rotated, and never one that the manifest asks for or that a Secret names.
pub fn expired(
    roles: &RoleSet,
    logins: &BTreeMap<RoleName, Login>,
    catalog: &Catalog,
    rotation: &Rotation,
    now: Timestamp,
) -> Vec<Statement> {
    let retention = rotation.retention.max(rotation.interval.saturating_mul(2));
    let Ok(oldest) = now.checked_sub(days(retention)) else { return Vec::new() };
    let oldest = oldest.to_zoned(TimeZone::UTC).date();
    let mut statements = Vec::new();
    for (user, login) in logins.iter().filter(|(_, login)| login.rotated_once) {
        let past = catalog.roles.iter().filter(|(name, existing)| {
            made_on(user, name).is_some_and(|day| day < oldest)
                && existing.member_of.contains_key(user)
                && **name != login.username
                && roles.role(name).is_none()
        });
        statements.extend(past.filter_map(|(name, existing)| ended(name, existing)));
    }
    statements
}

fn ended(name: &RoleName, existing: &ExistingRole) -> Option<Statement> {
    let name = name.clone();
    if !existing.has_belongings {
        return Some(Statement::DropRole { name });
    }
    let flags = RoleFlags::new([(Attribute::Login, false)]);
    existing.attributes.contains(&Attribute::Login).then_some(Statement::AlterRoleFlags { name, flags })
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
