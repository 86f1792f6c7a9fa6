//! Random schedules: a simulated world of threads that answers actions in its own time, or not at all.

use super::*;
use std::collections::BTreeMap;

const SCHEDULES: u64 = 10_000;
/// When the world's patience ends: somebody asks the dataflow to stop.
const END: Duration = Duration::from_secs(60);

/// What a node's thread is doing, as far as the world knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    Nothing,
    Creating,
    Ready,
    Running,
    Stopping,
}

struct World {
    seed: u64,
    random: fastrand::Rng,
    state: State,
    now: Duration,
    threads: Vec<Thread>,
    retired: Vec<Option<Ending>>,
    /// Events to come, by time and a number that keeps them apart.
    coming: BTreeMap<(Duration, u64), Event>,
    next: u64,
    /// Nobody may go yet.
    held: bool,
    made: bool,
    over: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let nodes: Vec<_> = (0..random.usize(1..6)).map(|_| spec(&mut random)).collect();
        let count = nodes.len();
        let held = random.bool();
        let mut world = Self {
            seed,
            state: State::new(
                nodes,
                random.bool(),
                Duration::from_millis(random.u64(0..2_000)),
            )
            .held(held),
            random,
            now: Duration::ZERO,
            threads: vec![Thread::Nothing; count],
            retired: vec![None; count],
            coming: BTreeMap::new(),
            next: 0,
            held,
            made: false,
            over: false,
        };
        // Sometimes nobody lets them go, sometimes twice.
        for _ in 0..world.random.usize(0..3) {
            let within = if world.random.bool() { 150 } else { 15_000 };
            world.comes(within, Event::Go);
        }
        for _ in 0..world.random.usize(0..3) {
            let event = match world.random.u8(0..4) {
                0 => Event::Abandon,
                1 => Event::Time,
                _ => stop(world.random.u64(0..3_000)),
            };
            world.comes(20_000, event);
        }
        world.coming.insert((END, u64::MAX), stop(1_000));
        let begin = world.state.begin();
        world.carry_out(begin);
        world
    }

    /// Lets an event come within so many milliseconds.
    fn comes(&mut self, within_ms: u64, event: Event) {
        let at = self.now + Duration::from_millis(self.random.u64(0..within_ms));
        self.next += 1;
        self.coming.insert((at, self.next), event);
    }

    fn ending(&mut self) -> Ending {
        if self.random.bool() {
            Ending::Finished
        } else {
            failed()
        }
    }

    fn run(mut self) {
        for _ in 0..100_000 {
            if self.over {
                assert!(
                    self.retired.iter().all(Option::is_some),
                    "{}",
                    self.where_it_is()
                );
                assert_eq!(self.state.handle(Event::Abandon, self.now), []);
                return;
            }
            self.step();
        }
        panic!("does not end: {}", self.where_it_is());
    }

    fn step(&mut self) {
        let first = self.coming.keys().next().copied();
        let event = match (self.state.next_deadline(), first) {
            (Some(deadline), first) if first.is_none_or(|(at, _)| deadline <= at) => {
                self.now = deadline.max(self.now);
                Event::Time
            }
            (_, Some((at, number))) => {
                self.now = at;
                self.coming.remove(&(at, number)).expect("just seen")
            }
            (_, None) => panic!("nothing will ever happen: {}", self.where_it_is()),
        };
        self.happened(&event);
        let actions = self.state.handle(event, self.now);
        self.carry_out(actions);
    }

    /// Keeps the threads' side up to date with an event that reaches the state machine.
    fn happened(&mut self, event: &Event) {
        match event {
            Event::Created(node) => {
                if self.threads[*node] == Thread::Creating {
                    self.threads[*node] = Thread::Ready;
                }
            }
            Event::Ended(node, ..) | Event::Lost(node, _) => {
                self.threads[*node] = Thread::Nothing;
                // One end is all that it has.
                let node = *node;
                self.coming.retain(|_, event| match event {
                    Event::Ended(of, ..) | Event::Lost(of, _) => *of != node,
                    _ => true,
                });
            }
            Event::Go => self.held = false,
            Event::Stop { .. } | Event::Abandon | Event::Time => {}
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(
                !self.over,
                "an action after the end: {action:?}, {}",
                self.where_it_is()
            );
            match action {
                Action::Create { node, .. } => self.create(node),
                Action::Go(node) => self.go(node),
                Action::Silence(node) => self.alive(node),
                Action::Stop(node) => self.stop(node),
                Action::WillRestart { node, .. } => {
                    self.alive(node);
                    assert_eq!(
                        self.threads[node],
                        Thread::Nothing,
                        "{}",
                        self.where_it_is()
                    );
                }
                Action::Retire(node, ending) => {
                    self.alive(node);
                    self.retired[node] = Some(ending);
                }
                Action::Made => {
                    assert!(!self.made, "made twice: {}", self.where_it_is());
                    assert!(!self.state.is_stopping(), "{}", self.where_it_is());
                    assert!(
                        !self.threads.contains(&Thread::Creating),
                        "{}",
                        self.where_it_is()
                    );
                    self.made = true;
                }
                Action::Started => {
                    assert!(self.made && !self.held, "{}", self.where_it_is());
                    assert!(!self.state.is_stopping(), "{}", self.where_it_is());
                }
                Action::Over => self.over = true,
            }
        }
    }

    /// Nothing is asked of a node that has been retired.
    fn alive(&self, node: NodeIndex) {
        assert_eq!(
            self.retired[node],
            None,
            "node {node}: {}",
            self.where_it_is()
        );
    }

    fn create(&mut self, node: NodeIndex) {
        self.alive(node);
        assert!(!self.state.is_stopping(), "{}", self.where_it_is());
        assert_eq!(
            self.threads[node],
            Thread::Nothing,
            "{}",
            self.where_it_is()
        );
        self.threads[node] = Thread::Creating;
        match self.random.u8(0..20) {
            0 => {}
            1 => self.comes(100, ended(node, Ending::NotCreated(failure()))),
            _ => {
                self.comes(100, created(node));
                if self.held && self.random.u8(0..4) == 0 {
                    self.ends_while_held(node);
                }
            }
        }
    }

    /// A thread of the node's own may end it before it has been let go, but not before it has been made.
    fn ends_while_held(&mut self, node: NodeIndex) {
        let ending = self.ending();
        let after = self.now + Duration::from_millis(100 + self.random.u64(0..5_000));
        self.next += 1;
        self.coming
            .insert((after, self.next), Event::Ended(node, ending, false));
    }

    fn go(&mut self, node: NodeIndex) {
        self.alive(node);
        assert!(!self.state.is_stopping(), "{}", self.where_it_is());
        assert_eq!(self.threads[node], Thread::Ready, "{}", self.where_it_is());
        assert!(self.made && !self.held, "{}", self.where_it_is());
        self.threads[node] = Thread::Running;
        let ending = self.ending();
        match self.random.u8(0..10) {
            0 => {}
            1 => self.comes(5_000, Event::Lost(node, failed())),
            2 => self.comes(5_000, Event::Ended(node, ending, true)),
            _ => self.comes(5_000, Event::Ended(node, ending, false)),
        }
    }

    fn stop(&mut self, node: NodeIndex) {
        self.alive(node);
        assert_ne!(
            self.threads[node],
            Thread::Nothing,
            "{}",
            self.where_it_is()
        );
        assert_ne!(
            self.threads[node],
            Thread::Stopping,
            "told twice: {}",
            self.where_it_is()
        );
        // What it meant to say is overtaken by its answer to the stop; one that is being made is made first.
        let creating = self.threads[node] == Thread::Creating;
        self.coming.retain(|_, event| match event {
            Event::Ended(of, ..) | Event::Lost(of, _) => *of != node || creating,
            _ => true,
        });
        self.threads[node] = Thread::Stopping;
        if self.random.u8(0..10) > 0 {
            let ending = if self.random.u8(0..10) == 0 {
                failed()
            } else {
                Ending::Stopped
            };
            let after = self.now + Duration::from_millis(100 + self.random.u64(0..1_000));
            self.next += 1;
            self.coming.insert((after, self.next), ended(node, ending));
        }
    }

    fn where_it_is(&self) -> String {
        format!(
            "seed {}, at {:?}, threads {:?}, retired {:?}, {:?}",
            self.seed, self.now, self.threads, self.retired, self.state
        )
    }
}

fn spec(random: &mut fastrand::Rng) -> NodeSpec {
    let ms = |random: &mut fastrand::Rng, most| Duration::from_millis(random.u64(0..most));
    let policy = match random.u8(0..3) {
        0 => RestartPolicy::Never,
        1 => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    NodeSpec {
        restart: Restart {
            policy,
            max: NonZeroU32::new(random.u32(0..5)),
            delay: random.bool().then(|| ms(random, 500)),
            max_delay: random.bool().then(|| ms(random, 2_000)),
            window: random.bool().then(|| ms(random, 10_000)),
        },
        reads: random.bool(),
        optional: false,
        listens: random.u8(0..4) == 0,
    }
}

#[test]
fn every_schedule_ends_and_retires_every_node_once() {
    for seed in 0..SCHEDULES {
        World::new(seed).run();
    }
}
