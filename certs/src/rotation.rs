//! What is due, given what is seen: a pure table of rules, first match wins. Asked by `ensure`.
//!
//! A rotation must never leave a moment in which some API server does not trust what some webhook replica serves.
//! Nothing about its progress is stored; each phase is seen in the Secrets and in the webhook configurations:
//!
//! ```text
//!  authority Secret   serving Secret        trusted (caBundle)   due
//!  A                  A,    leaf by A       A                    Nothing … A two thirds old: NewAuthority
//!  B                  A,    leaf by A       A                    PublishAuthority        ┐ phase 1
//!  B                  A+B,  leaf by A       A                    Trust                   ┘
//!  B                  A+B,  leaf by A       A+B                  wait SETTLING, then     ┐ phase 2
//!                                                                NewServing              ┘
//!  B                  A+B,  leaf by B       A+B                  until every pod serves  ┐
//!                                                                a leaf by B, then       │
//!                                                                DropOldAuthorities      │ phase 3
//!  B                  B,    leaf by B       A+B                  Trust                   ┘
//!  B                  B,    leaf by B       B                    Nothing
//! ```
//!
//! A run ends with `Trust` and waits for nothing: one phase per run. Where nothing usable is served there is nobody to
//! wait for, and the first run goes all the way. Where the pods cannot be asked what they serve, `SERVED_AFTER` has to do.

use jiff::{SignedDuration, Timestamp};

/// How far certificates are dated back, because clocks differ.
pub const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// How long API servers are given to notice a new caBundle. They watch it: seconds; this is a wide margin.
pub const SETTLING: SignedDuration = SignedDuration::from_mins(2);

/// After this every replica serves a new leaf, where nobody can be asked: the kubelet refreshes a mounted Secret within
/// about two minutes, the webhook looks every ten seconds. An old authority costs nothing, so the margin is generous.
pub const SERVED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub until: Timestamp,
}

impl Validity {
    /// When it was made: a little after it became valid.
    pub fn made(&self) -> Timestamp {
        self.from + BACKDATED
    }

    /// When two thirds of the lifetime have passed.
    pub fn renewal(&self) -> Timestamp {
        self.from + self.until.duration_since(self.from) * 2 / 3
    }

    /// Whether a successor is due.
    pub fn due(&self, now: Timestamp) -> bool {
        now >= self.renewal()
    }

    /// Whether nobody accepts it any more.
    pub fn expired(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}

/// The serving certificate, when clients that trust the bundle accept it under every name and its key fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// From when until when it is valid.
    pub validity: Validity,
    /// Whether the current authority signed it (and not one of its predecessors).
    pub by_current: bool,
}

/// Whether the webhook's pods serve what the current authority vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// They could not be asked.
    Unknown,
    /// At least one does not, or gave no answer.
    NotByAll,
    /// Every one of them does.
    ByAll,
}

/// What was seen in the two Secrets, the webhook configurations and the webhook's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The current authority: the newest, the one whose key we hold. `None` when absent or unreadable.
    pub authority: Option<Validity>,
    /// Whether the published bundle (ca.crt) contains the current authority.
    pub published: bool,
    /// How many other authorities the bundle contains.
    pub predecessors: usize,
    /// What is served; `None` when absent or unusable.
    pub serving: Option<Serving>,
    /// Whether every webhook configuration carries exactly the published bundle.
    pub trusted: bool,
    /// What the pods serve.
    pub served: Served,
}

impl Seen {
    /// Whether no rotation is under way.
    pub fn at_rest(&self) -> bool {
        let by_current = self.serving.is_some_and(|serving| serving.by_current);
        self.authority.is_some() && by_current && self.published && self.trusted && self.predecessors == 0
    }

    /// Whether an old authority is needed by nobody any more.
    fn may_drop(&self, serving: &Serving, settling: SignedDuration, now: Timestamp) -> bool {
        let after = match self.served {
            Served::ByAll => settling,
            Served::Unknown => SERVED_AFTER,
            Served::NotByAll => return false,
        };
        self.predecessors > 0 && now >= serving.validity.made() + after
    }
}

/// The one thing to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// All is well, or time has to pass.
    Nothing,
    /// Make a new authority and store it; it is not trusted by anyone yet.
    NewAuthority,
    /// Add the current authority to the bundle, beside its predecessors.
    PublishAuthority,
    /// Write the bundle into the webhook configurations.
    Trust,
    /// Issue a serving certificate from the current authority.
    NewServing,
    /// Leave only the current authority in the bundle.
    DropOldAuthorities,
}

/// What to do next, given what is seen at `now`. API servers get the time `settling` to notice a new caBundle.
pub fn due(seen: &Seen, settling: SignedDuration, now: Timestamp) -> Due {
    let Some(authority) = seen.authority.filter(|authority| !authority.expired(now)) else {
        return Due::NewAuthority;
    };
    let Some(serving) = seen.serving else { return Due::NewServing };
    if !seen.published {
        return Due::PublishAuthority;
    }
    if !seen.trusted {
        return Due::Trust;
    }
    if !serving.by_current {
        return if now >= authority.made() + settling { Due::NewServing } else { Due::Nothing };
    }
    if seen.may_drop(&serving, settling, now) {
        return Due::DropOldAuthorities;
    }
    if serving.validity.due(now) {
        return Due::NewServing;
    }
    if seen.predecessors == 0 && authority.due(now) {
        return Due::NewAuthority;
    }
    Due::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn lasting(from: Timestamp, days: i32) -> Validity {
        Validity { from, until: from + DAY * days }
    }

    fn settled() -> Seen {
        Seen {
            authority: Some(lasting(start(), 360)),
            published: true,
            predecessors: 0,
            serving: Some(Serving { validity: lasting(start(), 90), by_current: true }),
            trusted: true,
            served: Served::Unknown,
        }
    }

    fn served_by(by_current: bool, from: Timestamp) -> Option<Serving> {
        Some(Serving { validity: lasting(from, 90), by_current })
    }

    #[test]
    fn renewal_is_due_at_two_thirds_of_the_lifetime_and_not_a_second_earlier() {
        let validity = lasting(start(), 90);
        assert_eq!(validity.renewal(), start() + DAY * 60);
        assert!(!validity.due(start() + DAY * 60 - SignedDuration::from_secs(1)));
        assert!(validity.due(start() + DAY * 60));
        assert!(!validity.expired(start() + DAY * 89));
        assert!(validity.expired(start() + DAY * 90));
    }

    fn assert_due(name: &str, seen: Seen, now: Timestamp, expected: Due) {
        assert_eq!(due(&seen, SETTLING, now), expected, "{name}");
    }

    #[test]
    fn what_is_missing_or_old_is_made_anew() {
        let soon = start() + HOUR * 3;
        let late = start() + DAY * 241;
        let empty = Seen {
            authority: None,
            published: false,
            predecessors: 0,
            serving: None,
            trusted: false,
            served: Served::Unknown,
        };
        let unserved = Seen { authority: settled().authority, ..empty };
        let lost = Seen { authority: None, ..settled() };
        let unusable = Seen { serving: None, ..settled() };
        let renewed = Seen { serving: served_by(true, late - DAY), ..settled() };
        assert_due("nothing there", empty, soon, Due::NewAuthority);
        assert_due("an authority, nothing served", unserved, soon, Due::NewServing);
        assert_due("settled", settled(), soon, Due::Nothing);
        assert_due("never trusted, or undone", Seen { trusted: false, ..settled() }, soon, Due::Trust);
        assert_due("leaf two thirds old", settled(), start() + DAY * 60, Due::NewServing);
        assert_due("leaf expired or for other names", unusable, soon, Due::NewServing);
        assert_due("authority two thirds old", renewed, late, Due::NewAuthority);
        assert_due("authority's key lost", lost, soon, Due::NewAuthority);
        assert_due("authority expired", settled(), start() + DAY * 361, Due::NewAuthority);
    }

    #[test]
    fn a_new_authority_is_introduced_in_three_phases() {
        let soon = start() + HOUR * 3;
        let old_leaf = Seen { predecessors: 1, serving: served_by(false, start()), ..settled() };
        let settling = start() + BACKDATED + SETTLING - SignedDuration::from_secs(1);
        let unpublished = Seen { published: false, ..old_leaf };
        assert_due("unpublished", unpublished, soon, Due::PublishAuthority);
        assert_due("untrusted", Seen { trusted: false, ..old_leaf }, soon, Due::Trust);
        assert_due("settling", old_leaf, settling, Due::Nothing);
        assert_due("trusted by all", old_leaf, soon, Due::NewServing);
        let new_leaf = Seen { serving: served_by(true, soon), ..old_leaf };
        assert_due("new leaf on its way", new_leaf, soon + BACKDATED, Due::Nothing);
        assert_due("new leaf served by all", new_leaf, soon + HOUR * 2, Due::DropOldAuthorities);
        let dropped = Seen { predecessors: 0, trusted: false, ..new_leaf };
        assert_due("old authority dropped", dropped, soon + HOUR * 2, Due::Trust);
        assert_due("at rest again", Seen { trusted: true, ..dropped }, soon + HOUR * 2, Due::Nothing);
    }

    #[test]
    fn the_old_authority_stays_until_every_replica_serves_the_new_leaf() {
        let seen = Seen { predecessors: 1, serving: served_by(true, start()), ..settled() };
        let second = SignedDuration::from_secs(1);
        let (asked, later) = (start() + BACKDATED + SETTLING, start() + BACKDATED + SERVED_AFTER);
        assert_due("nobody could be asked", seen, later - second, Due::Nothing);
        assert_due("nobody could be asked, for an hour", seen, later, Due::DropOldAuthorities);
        let by_all = Seen { served: Served::ByAll, ..seen };
        assert_due("all serve it", by_all, asked, Due::DropOldAuthorities);
        assert_due("all serve it, a moment after it was made", by_all, asked - second, Due::Nothing);
        let behind = Seen { served: Served::NotByAll, ..seen };
        assert_due("one of them is behind for a month", behind, start() + DAY * 30, Due::Nothing);
        assert_due("and a leaf is renewed all the same", behind, start() + DAY * 60, Due::NewServing);
    }

    #[test]
    fn nothing_is_at_rest_while_two_authorities_are_trusted() {
        assert!(settled().at_rest());
        assert!(!Seen { predecessors: 1, ..settled() }.at_rest());
        assert!(!Seen { trusted: false, ..settled() }.at_rest());
        assert!(!Seen { serving: served_by(false, start()), ..settled() }.at_rest());
    }

    #[test]
    fn no_second_authority_is_made_while_one_is_still_being_introduced() {
        let now = start() + DAY * 300;
        let seen = Seen {
            predecessors: 1,
            serving: served_by(true, now - SignedDuration::from_mins(1)),
            ..settled()
        };
        assert_due("still being introduced", seen, now, Due::Nothing);
    }
}
