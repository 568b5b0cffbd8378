//! What the check of an adoption has found, and how it is told: what matters for the decision comes first.

use std::collections::BTreeMap;
use std::fmt;

use crate::cluster::takeover::Takeover;

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong with the configuration: with it no cluster would be looked at.
    pub configuration: Vec<String>,
    /// Settings that do nothing, or something else than they seem to.
    pub ignored: Vec<String>,
    /// By `namespace/name`.
    pub clusters: BTreeMap<String, Found>,
    /// Rights that the service account lacks, or why that is not known; `None` when nobody asked.
    pub rights: Option<Result<Vec<String>, String>>,
}

/// What was found about a cluster.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What admission would say no to.
    pub rejected: Vec<String>,
    /// What does nothing, or something else than it seems to.
    pub ignored: Vec<String>,
    /// What would become of it.
    pub verdict: Verdict,
}

/// What would become of a cluster.
#[derive(Clone, Debug, Default)]
pub enum Verdict {
    /// It would not be looked after until its manifest is corrected.
    #[default]
    Rejected,
    /// Another operator's, by its annotation.
    Anothers,
    /// On its way out.
    Deleted,
    /// It cannot be told, and why.
    Unknown(String),
    /// It would be taken over.
    Taken(Takeover),
}

impl Found {
    /// Whether somebody has to look at this before the switch.
    pub fn needs_attention(&self) -> bool {
        let by_verdict = match &self.verdict {
            Verdict::Rejected | Verdict::Unknown(_) => true,
            Verdict::Anothers => return false,
            Verdict::Deleted => false,
            Verdict::Taken(takeover) => takeover.is_disruptive(),
        };
        by_verdict || !self.rejected.is_empty()
    }
}

impl Report {
    /// Whether somebody has to look at something before the switch.
    pub fn needs_attention(&self) -> bool {
        let rights =
            self.rights.as_ref().is_some_and(|rights| rights.as_ref().map_or(true, |all| !all.is_empty()));
        !self.configuration.is_empty() || rights || self.clusters.values().any(Found::needs_attention)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.configuration {
            writeln!(f, "configuration: refused: {error}")?;
        }
        for warning in &self.ignored {
            writeln!(f, "configuration: {warning}")?;
        }
        match &self.rights {
            None => {}
            Some(Err(why)) => writeln!(f, "rights: not known: {why}")?,
            Some(Ok(missing)) if missing.is_empty() => writeln!(f, "rights: complete")?,
            Some(Ok(missing)) => writeln!(f, "rights: missing: {}", missing.join(", "))?,
        }
        for (place, found) in &self.clusters {
            writeln!(f, "{place}: {}", summary(found))?;
            tell(found, f)?;
        }
        let attention = self.clusters.values().filter(|found| found.needs_attention()).count();
        writeln!(f, "{} clusters, {attention} to look at before the switch", self.clusters.len())
    }
}

fn summary(found: &Found) -> &'static str {
    match &found.verdict {
        Verdict::Rejected => "not looked after until its manifest is corrected",
        Verdict::Anothers => "left alone: its annotation names another operator",
        Verdict::Deleted => "being deleted",
        Verdict::Unknown(_) => "cannot be told",
        Verdict::Taken(takeover) if !takeover.recreated.is_empty() => "taken over, and pods are recreated",
        Verdict::Taken(takeover) if takeover.is_disruptive() => "taken over, and objects are replaced",
        Verdict::Taken(_) => "taken over, no pod is touched",
    }
}

fn tell(found: &Found, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    found.rejected.iter().try_for_each(|error| writeln!(f, "  refused: {error}"))?;
    match &found.verdict {
        Verdict::Unknown(why) => writeln!(f, "  {why}")?,
        Verdict::Taken(takeover) => {
            for (pod, why) in &takeover.recreated {
                writeln!(f, "  recreate pod {pod}: {}", why.join(", "))?;
            }
            takeover.costly.iter().try_for_each(|(object, cost)| writeln!(f, "  {object}: {cost}"))?;
            takeover
                .deleted
                .iter()
                .try_for_each(|object| writeln!(f, "  delete {object}: nothing asks for it"))?;
            for (object, field) in &takeover.patched {
                match field {
                    Some(field) => writeln!(f, "  patch {object}: {field}")?,
                    None => writeln!(f, "  create {object}")?,
                }
            }
            takeover.unread.iter().try_for_each(|problem| writeln!(f, "  not read: {problem}"))?;
        }
        Verdict::Rejected | Verdict::Anothers | Verdict::Deleted => {}
    }
    found.ignored.iter().try_for_each(|warning| writeln!(f, "  note: {warning}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(change: impl FnOnce(&mut Takeover)) -> Found {
        let mut takeover = Takeover::default();
        change(&mut takeover);
        Found { verdict: Verdict::Taken(takeover), ..Found::default() }
    }

    #[test]
    fn only_what_disturbs_somebody_needs_attention() {
        let patch = taken(|it| it.patched.push(("Service a/b".into(), Some("metadata.annotations".into()))));
        let rolled = taken(|it| it.recreated.push(("b-0".into(), vec!["env"])));
        let refused = Found { rejected: vec!["spec.volume: is missing".into()], ..taken(|_| {}) };
        let anothers =
            Found { verdict: Verdict::Anothers, rejected: vec!["no matter".into()], ..Found::default() };
        for (found, expected) in [(patch, false), (rolled, true), (refused, true), (anothers, false)] {
            assert_eq!(found.needs_attention(), expected, "{found:?}");
            let report = Report { clusters: [("a/b".into(), found)].into(), ..Report::default() };
            assert_eq!(report.needs_attention(), expected, "{report}");
        }
        let rights = Report { rights: Some(Ok(vec!["delete pods".into()])), ..Report::default() };
        assert!(rights.needs_attention() && rights.to_string().contains("rights: missing: delete pods"));
    }

    #[test]
    fn the_text_names_pods_fields_and_objects() {
        let mut report = Report::default();
        let found = taken(|it| {
            it.recreated.push(("demo-0".into(), vec!["env", "image"]));
            it.patched.push(("Service default/demo".into(), Some("metadata.annotations".into())));
            it.patched.push(("Secret default/new".into(), None));
        });
        report.clusters.insert("default/demo".into(), found);
        assert_eq!(
            report.to_string(),
            "default/demo: taken over, and pods are recreated\n\
             \x20 recreate pod demo-0: env, image\n\
             \x20 patch Service default/demo: metadata.annotations\n\
             \x20 create Secret default/new\n\
             1 clusters, 1 to look at before the switch\n"
        );
    }
}
