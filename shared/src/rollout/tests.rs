//! Stories of a rollout, each a row of what is seen and the step that follows.

mod drains;
mod upgrades;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::json;

use super::*;
use crate::api::Postgresql;
use crate::build::build;
use crate::cluster::References;
use crate::config::{Disruption, OperatorConfig};
use crate::observed::{PatroniView, PodIdentity, Stranger};
use crate::plan::pod_template::fingerprint;

const NOW: &str = "2026-01-01T12:00:00Z";

/// A cluster with everything as it should be, to be disturbed by each story.
struct Story {
    cluster: Cluster,
    desired: Resources,
    applied: Applied,
    seen: Observed,
}

fn manifest(members: i32) -> Postgresql {
    serde_json::from_value(json!({
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": "demo", "namespace": "default", "uid": "42"},
        "spec": {"teamId": "acid", "numberOfInstances": members, "volume": {"size": "1Gi"},
                 "postgresql": {"version": "17"}},
    }))
    .unwrap()
}

impl Story {
    fn of(members: i32) -> Self {
        Self::with(members, &OperatorConfig::default())
    }

    fn with(members: i32, config: &OperatorConfig) -> Self {
        let cluster = Cluster::resolve(&manifest(members), config, &References::unread()).unwrap();
        let desired = build(&cluster);
        let set = ObservedStatefulSet { generation: 1, observed_generation: 1, replicas: members };
        let mut story = Self {
            applied: Applied { stateful_set: Some(set.clone()) },
            seen: Observed { stateful_set: Some(set), ..Observed::default() },
            cluster,
            desired,
        };
        let pods = (0..members).map(|ordinal| story.pod(ordinal)).collect();
        story.seen.pods = pods;
        story.leads(0);
        story
    }

    fn template(&self) -> &k8s_openapi::api::core::v1::PodTemplateSpec {
        &self.desired.stateful_set.as_ref().unwrap().spec.as_ref().unwrap().template
    }

    fn pod(&self, ordinal: i32) -> ObservedPod {
        let name = names::member("demo", ordinal);
        ObservedPod {
            identity: PodIdentity { uid: format!("uid-{ordinal}"), namespace: "default".into(), name },
            ordinal,
            running: true,
            ready: true,
            labelled: true,
            fingerprint: fingerprint(self.template()),
            node: Some(format!("node{ordinal}")),
            created: Some("2026-01-01T11:00:00Z".parse().unwrap()),
            ..ObservedPod::default()
        }
    }

    /// Patroni's view: the member of that ordinal leads, all others stream, and the configuration is as wished.
    fn leads(&mut self, leader: i32) {
        let members: Vec<_> = self
            .seen
            .pods
            .iter()
            .map(|pod| match pod.ordinal == leader {
                true => json!({"name": pod.identity.name, "role": "leader", "state": "running", "timeline": 1}),
                false => json!({"name": pod.identity.name, "role": "replica", "state": "streaming", "timeline": 1, "lag": 0}),
            })
            .collect();
        let config = json!({"loop_wait": 10, "failsafe_mode": false, "postgresql": {"parameters": {}}});
        let members = serde_json::from_value(json!({ "members": members })).unwrap();
        self.seen.patroni = Some(PatroniView { members, config });
    }

    fn member(&mut self, ordinal: usize, change: impl FnOnce(&mut crate::patroni::Member)) {
        change(&mut self.seen.patroni.as_mut().unwrap().members.members[ordinal]);
    }

    /// Makes a pod one from an earlier template.
    fn outdated(&mut self, ordinal: usize) {
        let mut template = self.template().clone();
        template.spec.as_mut().unwrap().containers[0].image = Some("spilo:old".into());
        self.seen.pods[ordinal].fingerprint = fingerprint(&template);
    }

    fn step(&self) -> String {
        next(&self.cluster, &self.desired, &self.applied, &self.seen, NOW.parse().unwrap()).to_string()
    }
}

#[test]
fn a_cluster_that_is_as_it_should_be_is_settled() {
    assert_eq!(Story::of(2).step(), "settled");
    assert_eq!(Story::of(0).step(), "settled");
}

#[test]
fn a_rolling_update_takes_replicas_first_then_hands_over_then_takes_the_old_primary() {
    let mut story = Story::of(3);
    (0..3).for_each(|ordinal| story.outdated(ordinal));
    assert_eq!(story.step(), "recreate demo-1");
    story.seen.pods[1] = story.pod(1);
    assert_eq!(story.step(), "recreate demo-2");
    story.seen.pods[2] = story.pod(2);
    assert_eq!(story.step(), "switchover demo-0 to demo-1");
    story.leads(1);
    assert_eq!(story.step(), "recreate demo-0");
    story.seen.pods[0] = story.pod(0);
    assert_eq!(story.step(), "settled");
}

#[test]
fn nothing_is_recreated_before_the_controller_has_seen_the_new_template() {
    let mut story = Story::of(2);
    story.outdated(1);
    story.applied.stateful_set =
        Some(ObservedStatefulSet { generation: 2, observed_generation: 1, replicas: 2 });
    assert_eq!(story.step(), "waiting for the StatefulSet's controller");
}

#[test]
fn the_next_pod_waits_until_the_one_before_streams() {
    let mut story = Story::of(3);
    story.outdated(2);
    story.seen.pods[1].created = Some("2026-01-01T11:59:50Z".parse().unwrap());
    story.member(1, |member| member.state = crate::patroni::MemberState::CreatingReplica);
    assert_eq!(story.step(), "waiting for demo-1 to stream from the primary");
    story.seen.pods[1].ready = false;
    assert_eq!(story.step(), "waiting for pod demo-1 to start");
}

#[test]
fn a_pod_that_cannot_start_stops_the_rollout_with_the_primary_untouched() {
    let mut story = Story::of(3);
    story.outdated(0);
    story.outdated(2);
    story.seen.pods[1].running = false;
    story.seen.pods[1].ready = false;
    story.seen.pods[1].labelled = false;
    story.seen.pods[1].trouble = Some("ImagePullBackOff".into());
    assert_eq!(story.step(), "pod demo-1 (ImagePullBackOff) has not come up in time; the rollout stops here");
}

#[test]
fn an_outdated_pod_that_does_not_run_is_recreated_at_once() {
    let mut story = Story::of(2);
    story.outdated(1);
    story.seen.pods[1].running = false;
    story.seen.patroni = None;
    assert_eq!(story.step(), "recreate demo-1");
}

#[test]
fn a_single_member_is_recreated_in_place() {
    let mut story = Story::of(1);
    story.outdated(0);
    assert_eq!(story.step(), "recreate demo-0");
}

#[test]
fn a_mark_set_by_a_person_is_honoured() {
    let mut story = Story::of(2);
    story.seen.pods[1].marked = true;
    assert_eq!(story.step(), "recreate demo-1");
}

/// As upstream's operator leaves it: without a fingerprint, made from the given template.
fn made_by_upstream(story: &mut Story, change: impl Fn(&mut serde_json::Value)) -> StatefulSet {
    let mut template = json!(story.template());
    template["metadata"]["annotations"].as_object_mut().unwrap().remove(FINGERPRINT);
    change(&mut template);
    let template: PodTemplateSpec = serde_json::from_value(template).unwrap();
    for pod in &mut story.seen.pods {
        pod.fingerprint = Default::default();
        pod.stranger =
            Some(Box::new(Stranger { template: template.clone(), revision: Some("demo-1".into()) }));
    }
    let mut set = story.desired.stateful_set.clone().unwrap();
    set.spec.as_mut().unwrap().template = template;
    set.status = Some(StatefulSetStatus { update_revision: Some("demo-1".into()), ..Default::default() });
    set
}

#[test]
fn pods_of_another_operator_that_are_as_wished_are_recognised_and_left_alone() {
    let mut story = Story::of(2);
    let set = made_by_upstream(&mut story, |_| {});
    let recognised = recognise(&mut story.seen, Some(&set), &story.desired);
    assert_eq!(recognised.len(), 2);
    assert_eq!(story.step(), "settled");
    assert_eq!(recognise(&mut story.seen, Some(&set), &story.desired), [], "once is enough");
}

#[test]
fn a_variable_that_is_gone_from_the_wish_is_told_from_the_other_operators_template() {
    let mut story = Story::of(2);
    let old = |template: &mut serde_json::Value| {
        let variables = template["spec"]["containers"][0]["env"].as_array_mut().unwrap();
        variables.push(json!({"name": "OLD", "value": "1"}));
    };
    let mut set = made_by_upstream(&mut story, old);
    let untouched = story.seen.clone();
    recognise(&mut story.seen, Some(&set), &story.desired);
    assert_eq!(story.step(), "recreate demo-1");
    assert_eq!(outdated(&story.cluster, &story.desired, &story.seen.pods[0]), ["env"]);
    // Of a pod that was made from an earlier template only the pod is known: the variable may be an injector's.
    story.seen = untouched;
    set.status.as_mut().unwrap().update_revision = Some("demo-2".into());
    recognise(&mut story.seen, Some(&set), &story.desired);
    assert_eq!(story.step(), "settled");
}

#[test]
fn a_pod_that_another_operators_lazy_upgrade_left_behind_is_known_by_its_own_image() {
    for (lazy, step) in [(true, "settled"), (false, "recreate demo-1")] {
        let mut config = OperatorConfig::default();
        config.general.enable_lazy_spilo_upgrade = lazy;
        let mut story = Story::with(2, &config);
        let set = made_by_upstream(&mut story, |_| {});
        let behind = story.seen.pods[1].stranger.as_mut().unwrap();
        behind.revision = Some("demo-0".into());
        behind.template.spec.as_mut().unwrap().containers[0].image = Some("spilo:old".into());
        recognise(&mut story.seen, Some(&set), &story.desired);
        assert_eq!(story.step(), step);
    }
}

#[test]
fn a_lazy_upgrade_leaves_pods_with_the_old_image_alone() {
    let mut config = OperatorConfig::default();
    config.general.enable_lazy_spilo_upgrade = true;
    let mut story = Story::with(2, &config);
    story.outdated(1);
    assert_eq!(story.step(), "settled");
}

#[test]
fn a_replica_that_does_not_stream_is_never_promoted() {
    let mut story = Story::of(2);
    story.outdated(0);
    story.member(1, |member| member.lag = None);
    assert_eq!(story.step(), "no replica is fit to be promoted");
}

#[test]
fn in_synchronous_mode_only_a_synchronous_standby_is_promoted() {
    let mut story = Story::of(3);
    story.outdated(0);
    story.seen.patroni.as_mut().unwrap().config["synchronous_mode"] = json!(true);
    story.member(2, |member| member.role = crate::patroni::MemberRole::SyncStandby);
    let view = story.seen.patroni.clone().unwrap();
    assert!(view.members.get("demo-2").unwrap().role.is_synchronous());
    // The manifest does not ask for it, so the configuration is put right before anything else.
    assert_eq!(story.step(), "patch configuration");
}

#[test]
fn replicas_restart_before_the_primary() {
    let mut story = Story::of(2);
    (0..2).for_each(|ordinal| story.member(ordinal, |member| member.pending_restart = true));
    assert_eq!(story.step(), "restart demo-1");
    story.member(1, |member| member.pending_restart = false);
    assert_eq!(story.step(), "restart demo-0");
}

#[test]
fn nobody_is_restarted_before_every_member_has_had_the_time_to_tell() {
    let mut story = Story::of(2);
    // The primary was asked to change the configuration and is a loop ahead of its replica.
    story.member(0, |member| member.pending_restart = true);
    story.seen.last_step = Some(("patch configuration".into(), "2026-01-01T11:59:45Z".parse().unwrap()));
    assert_eq!(story.step(), "waiting for Patroni to read its configuration");
    story.member(1, |member| member.pending_restart = true);
    assert_eq!(story.step(), "restart demo-1");
    story.member(1, |member| member.pending_restart = false);
    story.seen.last_step = Some(("patch configuration".into(), "2026-01-01T11:59:30Z".parse().unwrap()));
    assert_eq!(story.step(), "restart demo-0");
}

#[test]
fn a_member_is_not_restarted_again_before_patroni_has_noticed() {
    let mut story = Story::of(2);
    story.member(1, |member| member.pending_restart = true);
    story.seen.last_step = Some(("restart demo-1".into(), "2026-01-01T11:59:55Z".parse().unwrap()));
    assert_eq!(story.step(), "waiting for Patroni to read its configuration");
    story.seen.last_step = Some(("restart demo-1".into(), "2026-01-01T11:59:40Z".parse().unwrap()));
    assert_eq!(story.step(), "restart demo-1");
}

#[test]
fn a_primary_that_would_be_scaled_away_hands_over_first() {
    let mut story = Story::of(3);
    story.leads(2);
    let smaller = Story::of(2);
    story.cluster = smaller.cluster;
    assert_eq!(replicas_now(&story.cluster, &story.seen), 3, "the leader's pod stays for now");
    assert_eq!(story.step(), "switchover demo-2 to demo-0");
    story.leads(0);
    assert_eq!(replicas_now(&story.cluster, &story.seen), 2);
}

#[test]
fn after_a_patch_patroni_gets_its_loop_to_read_it() {
    let mut story = Story::of(2);
    story.outdated(1);
    story.seen.last_step = Some(("patch configuration".into(), "2026-01-01T11:59:55Z".parse().unwrap()));
    assert_eq!(story.step(), "waiting for Patroni to read its configuration");
    story.seen.last_step = Some(("patch configuration".into(), "2026-01-01T11:59:45Z".parse().unwrap()));
    assert_eq!(story.step(), "recreate demo-1");
}

/// A cluster of two that may be disturbed on Sundays only. `NOW` is a Thursday.
fn on_sundays() -> Story {
    on_sundays_but_for(&[])
}

/// The same, but for steps that may be taken at any time.
fn on_sundays_but_for(steps: &[Disruption]) -> Story {
    let mut config = OperatorConfig::default();
    config.general.maintenance_windows = vec!["Sun:02:00-04:00".parse().unwrap()];
    config.general.outside_maintenance_windows = steps.to_vec();
    Story::with(2, &config)
}

#[test]
fn a_step_that_needs_no_window_is_taken_and_the_others_wait() {
    const HELD_BACK: &str = "an update waits for the maintenance window Sun:02:00-04:00 UTC";
    let mut story = on_sundays_but_for(&[Disruption::RecreateReplica]);
    (0..2).for_each(|ordinal| story.outdated(ordinal));
    assert_eq!(story.step(), "recreate demo-1");
    let mut story = on_sundays_but_for(&[Disruption::RecreateReplica]);
    story.outdated(0);
    assert_eq!(story.step(), HELD_BACK, "the switchover waits");
    let mut story = on_sundays_but_for(&[Disruption::Switchover]);
    story.outdated(0);
    assert_eq!(story.step(), "switchover demo-0 to demo-1");
    let mut story = on_sundays_but_for(&[Disruption::Restart]);
    story.member(1, |member| member.pending_restart = true);
    assert_eq!(story.step(), "restart demo-1");
    story.member(1, |member| member.pending_restart = false);
    story.outdated(1);
    assert_eq!(story.step(), HELD_BACK);
}

#[test]
fn outside_the_window_an_update_waits_until_the_next_one_opens() {
    let mut story = on_sundays();
    assert_eq!(story.step(), "settled", "nothing to do, nothing to wait for");
    (0..2).for_each(|ordinal| story.outdated(ordinal));
    assert_eq!(story.step(), "an update waits for the maintenance window Sun:02:00-04:00 UTC");
    let step = next(&story.cluster, &story.desired, &story.applied, &story.seen, NOW.parse().unwrap());
    let Step::Wait { until, .. } = step else { panic!("{step}") };
    assert_eq!(until.to_string(), "2026-01-04T02:00:00Z");
    let inside = next(&story.cluster, &story.desired, &story.applied, &story.seen, until);
    assert_eq!(inside.to_string(), "recreate demo-1");
}

#[test]
fn outside_the_window_no_member_is_restarted_for_a_parameter() {
    let mut story = on_sundays();
    story.member(1, |member| member.pending_restart = true);
    assert_eq!(story.step(), "an update waits for the maintenance window Sun:02:00-04:00 UTC");
}

#[test]
fn the_window_holds_nothing_back_that_cannot_wait() {
    let mut drained = on_sundays();
    drained.outdated(0);
    drained.seen.draining_nodes.insert("node0".into());
    assert_eq!(drained.step(), "switchover demo-0 to demo-1");

    let mut marked = on_sundays();
    marked.seen.pods[1].marked = true;
    assert_eq!(marked.step(), "recreate demo-1");

    let mut broken = on_sundays();
    broken.outdated(1);
    broken.seen.pods[1].running = false;
    assert_eq!(broken.step(), "recreate demo-1");
}

#[test]
fn while_the_fleet_is_busy_an_update_waits_for_its_turn() {
    let mut story = Story::of(2);
    story.seen.fleet_is_busy = true;
    assert_eq!(story.step(), "settled");
    story.outdated(1);
    assert_eq!(story.step(), "as many clusters are being updated as max_rolling_clusters allows");
}

#[test]
fn volumes_that_grow_are_waited_for_and_hold_nothing_up() {
    let mut story = Story::of(2);
    story.seen.growing_volumes = vec!["pgdata-demo-0 from 1Gi to 2Gi".to_owned()];
    assert_eq!(story.step(), "waiting for volumes to grow: pgdata-demo-0 from 1Gi to 2Gi");
    story.outdated(1);
    assert_eq!(story.step(), "recreate demo-1");
}

#[test]
fn a_new_member_gets_a_volume_as_large_as_those_that_are_there() {
    let mut story = Story::of(2);
    story.seen.larger_volumes = Some("3Gi".to_owned());
    let set = for_now(story.desired.clone(), &story.cluster, &story.seen).stateful_set.unwrap();
    let claim = set.spec.unwrap().volume_claim_templates.unwrap().remove(0).spec.unwrap();
    assert_eq!(claim.resources.unwrap().requests.unwrap()["storage"].0, "3Gi");
}
