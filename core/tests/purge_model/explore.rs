//! Every order of events, depth first: a state is made anew from the events that lead to it, and not gone on from twice.

use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

use foldhash::fast::FixedState;

use super::world::{Bounds, Event, World};

pub enum Found {
    Nothing { states: usize, answers: usize },
    Violation { path: Vec<Event>, what: String },
}

/// More states than this are not looked at: the bounds are too wide for a test.
const STATES_MAX: usize = 4_000_000;

pub fn explore(bounds: Bounds) -> Found {
    let mut seen: HashSet<(u64, u64)> = HashSet::new();
    let mut answers = 0;
    // Events that lead to a state, and those that are still to be tried from it.
    let mut path: Vec<Event> = Vec::new();
    let mut open: Vec<Vec<Event>> = vec![World::new(bounds).events()];
    let mut world = World::new(bounds);
    let mut at = 0;
    while let Some(todo) = open.last_mut() {
        let Some(event) = todo.pop() else {
            open.pop();
            path.pop();
            continue;
        };
        if at != path.len() {
            world = World::new(bounds);
            path.iter().for_each(|event| world.step(*event));
        }
        world.step(event);
        path.push(event);
        at = path.len();
        if let Some(what) = world.violation() {
            return Found::Violation { path, what };
        }
        let state = world.state();
        let mut other = DefaultHasher::new();
        state.hash(&mut other);
        if seen.insert((FixedState::with_seed(7).hash_one(&state), other.finish())) {
            assert!(seen.len() <= STATES_MAX, "more than {STATES_MAX} states");
            open.push(world.events());
        } else {
            path.pop();
        }
        answers += world.take_checked();
    }
    Found::Nothing { states: seen.len(), answers }
}
