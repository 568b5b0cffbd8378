//! One member: its Postgres, and what it has told the others.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::simulation::clock::after;

use super::kubernetes::RunningPod;
use super::settings::{self, Waiting};
use super::{LOOP, Version};

/// Seconds from a Postgres that runs to a replica that streams.
const CATCH_UP: u64 = 2;

/// A member.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) name: String,
    pub(super) pod: String,
    pub(super) address: String,
    /// When Postgres will be up; none when it is.
    pub(super) up_at: Option<Timestamp>,
    up_since: Option<Timestamp>,
    pub(super) streams: bool,
    /// It has all the data there is.
    pub(super) may_lead: bool,
    next_loop: Option<Timestamp>,
    read: u64,
    /// The settings its Postgres runs with.
    pub(super) in_force: BTreeMap<String, String>,
    /// The settings that wait for a restart, as it knows.
    pub(super) waits: Waiting,
    /// The same as the others know.
    pub(super) told: Waiting,
}

impl Member {
    pub(super) fn new(pod: &RunningPod, up_at: Timestamp) -> Self {
        Self {
            name: pod.name.clone(),
            pod: pod.uid.clone(),
            address: pod.address.clone(),
            up_at: Some(up_at),
            up_since: None,
            streams: false,
            may_lead: false,
            next_loop: None,
            read: 0,
            in_force: BTreeMap::new(),
            waits: Waiting::new(),
            told: Waiting::new(),
        }
    }

    /// Whether Postgres runs.
    pub(super) fn is_up(&self, now: Timestamp) -> bool {
        self.up_at.is_none_or(|at| at <= now)
    }

    /// Stops Postgres and starts it again.
    pub(super) fn restart(&mut self, seconds: u64, now: Timestamp) {
        self.up_at = Some(after(now, seconds));
        self.streams = false;
    }

    /// Has its loop now, because something was asked of it.
    pub(super) fn wake(&mut self, now: Timestamp) {
        self.next_loop = Some(now);
    }

    /// Postgres starts with the settings it is to have, but never below its primary's.
    pub(super) fn come_up(
        &mut self,
        wanted: &BTreeMap<String, String>,
        bound: &BTreeMap<String, String>,
        now: Timestamp,
    ) {
        if self.up_at.is_none_or(|at| at > now) {
            return;
        }
        self.up_at = None;
        self.up_since = Some(now);
        self.in_force = settings::at_start(wanted, bound);
        self.waits = settings::waiting(&self.in_force, wanted);
    }

    /// Streams a moment after it is up, if there is somebody to stream from.
    pub(super) fn stream(&mut self, leads: bool, leader_is_up: bool, now: Timestamp) {
        let caught_up = self.up_since.is_some_and(|since| now >= after(since, CATCH_UP));
        self.streams = !leads && leader_is_up && self.up_at.is_none() && caught_up;
        self.may_lead |= self.streams;
    }

    /// Once per loop: tells what it found out in the last one, then reads the configuration.
    pub(super) fn have_a_loop(
        &mut self,
        wanted: &BTreeMap<String, String>,
        version: u64,
        pause: u64,
        now: Timestamp,
    ) {
        if self.up_at.is_some() {
            return;
        }
        let first = after(now, self.offset());
        let due = *self.next_loop.get_or_insert(first);
        if due > now {
            return;
        }
        self.next_loop = Some(after(now, pause));
        self.told.clone_from(&self.waits);
        if self.read != version {
            self.read = version;
            settings::reload(&mut self.in_force, wanted);
            self.waits = settings::waiting(&self.in_force, wanted);
        }
    }

    /// Members do not have their loops at the same time.
    fn offset(&self) -> u64 {
        let ordinal = self.name.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<u64>().ok());
        ordinal.unwrap_or_default() * 3 % LOOP
    }

    /// The word for what its Postgres does.
    pub(super) fn state(&self, leads: bool, version: Version, now: Timestamp) -> &'static str {
        match (self.is_up(now), self.up_since.is_some(), leads || !self.streams) {
            (false, false, _) => "starting",
            (false, true, _) => "restarting",
            (true, _, true) => "running",
            (true, _, false) if version == Version::Three => "running",
            (true, _, false) => "streaming",
        }
    }
}
