//! The rights that are shipped, held against everything the services asked for while all other stories were played.

use tests::rights::{Asked, IN_VAIN, KEPT, asked, compare, shipped};
use tests::stage::{AuditLog, Stage, Stop, Told};

pub(crate) async fn no_right_is_missing_and_none_is_granted_in_vain(stage: &Stage) -> Told {
    // What was there before: an installation that was taken away, whose pods outlived their rights.
    let installed = stage.operator().installed().await?;
    let mut requests: Vec<Asked> = AuditLog::whole()?.iter().filter_map(|line| asked(line)).collect();
    requests.retain(|request| request.at >= installed);
    let roles = shipped()?;
    let findings = compare(&roles, &requests, KEPT, IN_VAIN);
    let rights: usize = roles.iter().map(|role| role.acts.len()).sum();
    stage.tell(format!(
        "{rights} rights of {} roles, {} requests of service accounts",
        roles.len(),
        requests.len()
    ));
    assert_eq!(findings.refused, [].into(), "refused to our accounts");
    for right in &findings.needless {
        stage.tell(format!("is kept without need: {right}"));
    }
    if std::env::args().skip(1).any(|argument| !argument.starts_with('-')) {
        return Stop::skipped(format!(
            "only some stories were chosen; so far nobody used {:?}",
            findings.unused
        ));
    }
    assert_eq!(findings.unused, [].into(), "granted, and never asked for");
    Ok(())
}
