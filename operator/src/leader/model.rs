//! Two candidates and a lease, every interleaving: calls that are late, lost, or lost after they were carried out; outages,
//! freezes, stops, and successors; clocks of different rates. In no state do two act.
//!
//! Time goes in ticks, of which the patience below is a few. A state is plain data; those that were seen are not played
//! again. What may go wrong may do so at every moment and in every combination of `MISHAPS`.

use std::collections::HashSet;
use std::time::Duration;

use super::candidate::{Candidate, Move, Patience, Sight};

/// One tick, by a clock that is right.
const TICK: u64 = 1000;
const PATIENT: Patience = Patience { duration: ticks(4), renew_within: ticks(3), retry: ticks(1) };

/// How much goes wrong in one story.
const MISHAPS: u8 = 2;
/// How long a story is, in ticks: what it takes to get the lease, and then to replace a dead holder.
const LONG: u64 = 9;
/// How many ticks something lasts that goes wrong: shorter and longer than anybody is patient.
const SPANS: [u64; 2] = [2, 5];

const fn ticks(number: u64) -> Duration {
    Duration::from_millis(number * TICK)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    from: usize,
    /// Which life of the candidate sent it: a successor does not hear the answer.
    life: u8,
    sent: u64,
    /// When it reaches the API server.
    arrives: u64,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    Read,
    Write { over: Option<String>, holder: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    candidate: Option<Candidate>,
    life: u8,
    /// The call whose answer it waits for, by when it was sent.
    waits: Option<u64>,
    /// It does nothing before this tick.
    frozen_until: u64,
    /// Nothing that it sends before this tick arrives.
    cut_off_until: u64,
    /// Its clock's speed in percent.
    rate: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    lease: Option<(String, u64)>,
    /// What is under way to the API server.
    flying: Vec<Call>,
    processes: [Process; 2],
    /// How much may still go wrong.
    mishaps: u8,
}

impl Process {
    fn clock(&self, now: u64) -> Duration {
        Duration::from_millis(now * TICK * self.rate / 100)
    }

    fn acts(&self, now: u64) -> bool {
        now >= self.frozen_until && self.candidate.as_ref().is_some_and(|one| one.acts(self.clock(now)))
    }
}

impl World {
    fn new(rates: [u64; 2], patience: [Patience; 2], mishaps: u8) -> Self {
        let process = |index: usize| Process {
            candidate: Some(Candidate::new(format!("{index}.0"), patience[index])),
            life: 0,
            waits: None,
            frozen_until: 0,
            cut_off_until: 0,
            rate: rates[index],
        };
        Self { lease: None, flying: Vec::new(), processes: [process(0), process(1)], mishaps }
    }

    fn acting(&self, now: u64) -> usize {
        self.processes.iter().filter(|process| process.acts(now)).count()
    }

    /// The API server carries out a call. Whether the sender hears the answer is another question.
    fn carry_out(&mut self, call: &Call) -> Option<Option<Sight>> {
        let sight = |(holder, version): &(String, u64)| Sight {
            holder: holder.clone(),
            stamp: version.to_string(),
            duration: None,
            version: version.to_string(),
        };
        match &call.what {
            What::Read => Some(self.lease.as_ref().map(sight)),
            What::Write { over, holder } => {
                let current = self.lease.as_ref().map(|(_, version)| version.to_string());
                if current != *over {
                    return None;
                }
                let version = self.lease.as_ref().map_or(1, |(_, version)| version + 1);
                self.lease = Some((holder.clone(), version));
                Some(self.lease.as_ref().map(sight))
            }
        }
    }

    fn answer(&mut self, call: &Call, answer: Option<Option<Sight>>, now: u64) {
        let process = &mut self.processes[call.from];
        if process.life != call.life || process.waits != Some(call.sent) {
            return;
        }
        let (clock, began) = (process.clock(now), process.clock(call.sent));
        let Some(candidate) = &mut process.candidate else { return };
        process.waits = None;
        match (&call.what, answer) {
            (What::Read, Some(sight)) => candidate.saw(clock, sight),
            (What::Write { .. }, Some(Some(sight))) => candidate.wrote(began, clock, sight),
            _ => candidate.refused(clock),
        }
    }

    /// Everything that calls under way may do in this tick.
    fn delivered(self, now: u64) -> Vec<Self> {
        let mut done = vec![Self { flying: Vec::new(), ..self.clone() }];
        for call in &self.flying {
            done = done.into_iter().flat_map(|world| world.reached_by(call, now)).collect();
        }
        done
    }

    /// What may become of a call.
    fn reached_by(mut self, call: &Call, now: u64) -> Vec<Self> {
        if call.arrives > now {
            self.flying.push(call.clone());
            return vec![self];
        }
        let mut worlds = Vec::new();
        if self.mishaps > 0 && call.arrives == call.sent {
            for span in SPANS {
                let mut late = self.clone();
                late.mishaps -= 1;
                late.flying.push(Call { arrives: now + span, ..call.clone() });
                worlds.push(late);
            }
        }
        let answer = self.carry_out(call);
        if self.mishaps > 0 {
            let mut unheard = self.clone();
            unheard.mishaps -= 1;
            worlds.push(unheard);
        }
        self.answer(call, answer, now);
        worlds.push(self);
        worlds
    }

    /// Everything that a process may do in this tick.
    fn moved(self, index: usize, now: u64, may_stumble: bool) -> Vec<Self> {
        let process = &self.processes[index];
        if process.frozen_until > now || process.candidate.is_none() {
            return vec![self];
        }
        let mut worlds = Vec::new();
        if may_stumble && self.mishaps > 0 {
            for span in SPANS {
                let mut frozen = self.clone();
                frozen.mishaps -= 1;
                frozen.processes[index].frozen_until = now + span;
                worlds.push(frozen);
                let mut alone = self.clone();
                alone.mishaps -= 1;
                alone.processes[index].cut_off_until = now + span;
                worlds.push(alone.goes_on(index, now));
            }
            worlds.push(self.clone().stopped(index, now));
        }
        worlds.push(self.goes_on(index, now));
        worlds
    }

    /// It stops acting, gives the lease back, and a successor begins.
    fn stopped(mut self, index: usize, now: u64) -> Self {
        self.mishaps -= 1;
        let process = &mut self.processes[index];
        let Some(candidate) = process.candidate.take() else { return self };
        if candidate.acts(process.clock(now)) {
            let over = candidate.version().map(str::to_owned);
            let what = What::Write { over, holder: String::new() };
            self.flying.push(Call { from: index, life: process.life, sent: now, arrives: now, what });
        }
        process.life += 1;
        process.waits = None;
        process.candidate = Some(Candidate::new(format!("{index}.{}", process.life), PATIENT));
        self
    }

    fn goes_on(mut self, index: usize, now: u64) -> Self {
        let process = &mut self.processes[index];
        let clock = process.clock(now);
        let Some(candidate) = &mut process.candidate else { return self };
        if let Some(sent) = process.waits {
            if now < sent + 1 {
                return self;
            }
            let began = Duration::from_millis(sent * TICK * process.rate / 100);
            process.waits = None;
            candidate.failed(began, clock);
        }
        let what = match candidate.next(clock) {
            Move::Rest { .. } => return self,
            Move::Lose(_) => {
                process.candidate = None;
                return self;
            }
            Move::Read => What::Read,
            Move::Write { over } => What::Write { over, holder: format!("{index}.{}", process.life) },
        };
        process.waits = Some(now);
        if now >= process.cut_off_until {
            self.flying.push(Call { from: index, life: process.life, sent: now, arrives: now, what });
        }
        self
    }
}

/// Plays everything for so many ticks. How many states there were, and the first in which two act.
fn play(world: World, ticks: u64) -> (usize, Option<(u64, World)>) {
    let (mut states, mut seen) = (HashSet::from([world]), 0);
    for now in 0..ticks {
        // Within a tick calls and answers come twice, and between all of them anybody may move.
        for round in 0..2 {
            let mut next = HashSet::new();
            for world in states {
                for world in world.delivered(now) {
                    if world.acting(now) > 1 {
                        return (seen, Some((now, world)));
                    }
                    for order in [[0, 1], [1, 0]] {
                        let first = world.clone().moved(order[0], now, round == 0);
                        next.extend(
                            first.into_iter().flat_map(|world| world.moved(order[1], now, round == 0)),
                        );
                    }
                }
            }
            if round == 1 {
                seen += next.len();
            }
            states = next;
        }
    }
    (seen, None)
}

#[test]
fn in_no_interleaving_do_two_act() {
    for rates in [[100, 100], [100, 130], [130, 100]] {
        let (states, found) = play(World::new(rates, [PATIENT; 2], MISHAPS), LONG);
        println!("clocks of {rates:?} %: {states} states");
        assert!(states > 1_000, "only {states} states were played");
        assert!(found.is_none(), "{found:#?}");
    }
}

#[test]
fn the_model_finds_two_that_act_where_a_holder_goes_on_for_too_long() {
    let greedy = Patience { renew_within: ticks(6), ..PATIENT };
    let (_, found) = play(World::new([100, 100], [greedy, PATIENT], MISHAPS), LONG);
    assert!(found.is_some());
}

#[test]
fn the_model_finds_two_that_act_where_a_clock_runs_too_fast() {
    let (_, found) = play(World::new([100, 400], [PATIENT; 2], MISHAPS), LONG);
    assert!(found.is_some());
}

#[test]
fn undisturbed_one_acts_for_ever() {
    let mut states = vec![World::new([100, 100], [PATIENT; 2], 0)];
    for now in 0..50 {
        for _ in 0..2 {
            states = states.into_iter().flat_map(|world| world.delivered(now)).collect();
            for index in [0, 1] {
                states = states.into_iter().flat_map(|world| world.moved(index, now, false)).collect();
            }
        }
        assert!(now < 1 || states.iter().all(|world| world.acting(now) == 1), "{now}: {states:#?}");
    }
}
