//! Whom to promote: a synchronous standby before any other, then the one that lags least, and never one that does not
//! stream.

use crate::names;
use crate::patroni::{Lag, Member};

use super::Look;

/// Lag above which nobody is promoted, when Patroni's configuration does not say: Spilo's `maximum_lag_on_failover`.
const MAXIMUM_LAG: u64 = 33_554_432;

impl Look<'_> {
    /// The member to promote, if any is fit.
    pub(super) fn candidate(&self) -> Option<&str> {
        let view = self.seen.patroni.as_ref()?;
        let limit =
            view.config.get("maximum_lag_on_failover").and_then(|lag| lag.as_u64()).unwrap_or(MAXIMUM_LAG);
        let synchronous = view.config.get("synchronous_mode").is_some_and(|mode| *mode != false);
        view.members
            .replicas()
            .filter(|member| self.may_lead(member, limit))
            .filter(|member| !synchronous || member.role.is_synchronous())
            .min_by_key(|member| (!member.role.is_synchronous(), member.lag()))
            .map(|member| member.name.as_str())
    }

    fn may_lead(&self, member: &Member, limit: u64) -> bool {
        let close = matches!(member.lag(), Lag::Bytes(bytes) if bytes <= limit);
        let stays = names::ordinal(&self.cluster.identity.name, &member.name)
            .is_some_and(|ordinal| ordinal < self.cluster.members);
        let placed = self.seen.pod(&member.name).is_some_and(|pod| self.is_up(pod) && !self.is_drained(pod));
        member.is_streaming() && close && stays && placed
    }
}
