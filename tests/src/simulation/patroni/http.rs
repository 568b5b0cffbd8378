//! Patroni's HTTP API: the calls that an operator makes.
//!
//! An act takes its effect at once and answers when it is done, as Patroni does; whoever hangs up in between has acted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;

use crate::fake_api::When;
use crate::simulation::Nature;
use crate::simulation::clock;

use super::{Act, Cluster, Patroni, Version};

/// The way to Patroni.
pub type Port =
    BoxCloneSyncService<Request<Bytes>, Response<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// What is told to whoever listens: the call, before and after its effect.
pub type Listener = Arc<dyn Fn(&str, When) + Send + Sync>;

/// A way to every member of every cluster. `listener` hears of the calls that change something.
pub fn port(nature: Arc<Mutex<Nature>>, listener: Listener) -> Port {
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
        let (nature, listener) = (Arc::clone(&nature), Arc::clone(&listener));
        async move {
            let (head, body) = request.into_parts();
            let host = head.uri.host().unwrap_or_default().to_owned();
            let call = format!("{} {}", head.method, head.uri.path());
            let acts = head.method != Method::GET;
            if acts {
                listener(&call, When::Before);
            }
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let answered = {
                let mut nature = nature.lock().unwrap_or_else(PoisonError::into_inner);
                nature.patroni.answer(&host, &call, &body, clock::now())
            };
            let Some((status, text, pause)) = answered else {
                return Err(format!("no route to {host}").into());
            };
            if acts {
                listener(&call, When::After);
            }
            tokio::time::sleep(Duration::from_secs(pause)).await;
            let mut response = Response::new(Bytes::from(text));
            *response.status_mut() = StatusCode::from_u16(status)?;
            Ok(response)
        }
    }))
}

type Answer = (u16, String, u64);

impl Patroni {
    /// The answer of the member at an address: status, body, and after how many seconds it comes.
    fn answer(&mut self, host: &str, call: &str, body: &Value, now: Timestamp) -> Option<Answer> {
        let (version, pause) = (self.version, self.pause.max(2));
        let place = self
            .clusters
            .iter()
            .find_map(|(place, cluster)| cluster.named(host).map(|name| (place.clone(), name)));
        let (place, name) = place.filter(|(_, name)| !self.silent.contains(name))?;
        if !call.starts_with("GET") {
            self.asked.push(format!("{call} {name}"));
        }
        let cluster = self.clusters.get_mut(&place)?;
        let (answer, act) = match call {
            "GET /cluster" => (cluster.describe(version, now), None),
            "GET /config" => (cluster.show_config(), None),
            "GET /patroni" => (cluster.status_of(&name, version, now), None),
            "PATCH /config" => cluster.patch_config(&name, body, now),
            "POST /restart" => cluster.restart(&name, body, pause, now),
            "POST /switchover" => cluster.switch_over(body, pause, now),
            _ => ((404, format!("no such path: {call}"), 0), None),
        };
        if let Some(what) = act {
            self.changes += 1;
            self.acts.push(Act { at: now, cluster: place.1, what });
        }
        Some(answer)
    }
}

impl Cluster {
    /// The member at an address.
    fn named(&self, host: &str) -> Option<String> {
        self.members.values().find(|member| member.address == host).map(|member| member.name.clone())
    }

    fn describe(&self, version: Version, now: Timestamp) -> Answer {
        let members: Vec<Value> =
            self.members.values().map(|member| self.member_view(member, version, now)).collect();
        (200, json!({"members": members, "scope": self.name}).to_string(), 0)
    }

    /// What a member says of itself. Only a Postgres that runs has a version.
    fn status_of(&self, name: &str, version: Version, now: Timestamp) -> Answer {
        let Some(member) = self.members.get(name) else { return (503, String::new(), 0) };
        let leads = self.leader.as_deref() == Some(name);
        let role = match (leads, version) {
            (true, Version::Three) => "master",
            (true, Version::Four) => "primary",
            (false, _) => "replica",
        };
        let mut status = json!({"state": member.state(leads, version, now), "role": role, "timeline": self.timeline,
            "patroni": {"version": "4.0.4", "scope": self.name, "name": name}});
        if member.is_up(now) {
            status["server_version"] = json!(self.major * 10_000 + 5);
        }
        (200, status.to_string(), 0)
    }

    fn show_config(&self) -> Answer {
        match self.initialised {
            true => (200, self.config.to_string(), 0),
            false => (502, String::new(), 0),
        }
    }

    fn patch_config(&mut self, member: &str, patch: &Value, now: Timestamp) -> (Answer, Option<String>) {
        if !self.initialised {
            return ((503, String::new(), 0), None);
        }
        let before = self.config.clone();
        json_patch::merge(&mut self.config, patch);
        if before == self.config {
            return ((200, self.config.to_string(), 0), None);
        }
        self.config_version += 1;
        self.members.get_mut(member).into_iter().for_each(|member| member.wake(now));
        ((200, self.config.to_string(), 0), Some("patch configuration".to_owned()))
    }

    fn restart(&mut self, name: &str, body: &Value, pause: u64, now: Timestamp) -> (Answer, Option<String>) {
        let Some(member) = self.members.get_mut(name) else { return ((503, String::new(), 0), None) };
        if body["restart_pending"] == true && member.waits.is_empty() {
            return ((503, "restart conditions are not satisfied".to_owned(), 0), None);
        }
        if !member.is_up(now) {
            return ((503, "restart already in progress".to_owned(), 0), None);
        }
        member.restart(pause, now);
        ((200, "restarted successfully".to_owned(), pause), Some(format!("restart {name}")))
    }

    fn switch_over(&mut self, body: &Value, pause: u64, now: Timestamp) -> (Answer, Option<String>) {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (from, to) = (text("leader"), text("candidate"));
        let refuse = |why: &str| ((412, why.to_owned(), 0), None);
        if self.leader.as_deref() != Some(from.as_str()) {
            return refuse("leader name does not match");
        }
        if !self.members.get(&to).is_some_and(|member| member.streams) {
            return refuse("candidate does not exist or does not stream");
        }
        self.members.get_mut(&from).into_iter().for_each(|member| member.restart(pause, now));
        self.lead(&to);
        for name in [&from, &to] {
            self.members.get_mut(name).into_iter().for_each(|member| member.wake(now));
        }
        let what = format!("switchover {from} to {to}");
        ((200, format!("Successfully switched over to \"{to}\""), pause), Some(what))
    }
}
