//! Timers: ticks at absolute times, on one thread for all timers of a dataflow.
//!
//! Invariant: the n-th tick is due n periods after the start, so errors do not add up; a late thread sends one tick and
//! counts the ones that it missed instead of bunching them. Absent: what ticks are for.

use super::clock::Clock;
use super::report::TimerReport;
use super::route::Route;
use plugin_abi::message::{Message, Schema};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// When each timer is due: pure.
#[derive(Debug)]
pub struct Schedule {
    periods: Vec<Duration>,
    due: BinaryHeap<Reverse<(Duration, usize)>>,
}

/// A tick that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Which timer.
    pub timer: usize,
    /// How many ticks before this one were missed.
    pub missed: u64,
}

impl Schedule {
    /// Timers that begin at time zero.
    pub fn new(periods: Vec<Duration>) -> Self {
        let periods: Vec<_> = periods
            .into_iter()
            .map(|period| period.max(Duration::from_nanos(1)))
            .collect();
        let due = periods
            .iter()
            .enumerate()
            .map(|(timer, period)| Reverse((*period, timer)))
            .collect();
        Self { periods, due }
    }

    /// When the next tick is due.
    pub fn next(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// The next tick that is due at `now`, if there is one.
    pub fn pop(&mut self, now: Duration) -> Option<Tick> {
        let Reverse((at, timer)) = self
            .due
            .peek()
            .copied()
            .filter(|Reverse((at, _))| *at <= now)?;
        self.due.pop();
        let period = self.periods.get(timer).copied()?;
        let missed = (now - at).as_nanos() / period.as_nanos();
        let missed = u64::try_from(missed).unwrap_or(u64::MAX);
        let next = u32::try_from(missed)
            .ok()
            .and_then(|missed| period.checked_mul(missed.checked_add(1)?));
        let next = next
            .and_then(|step| at.checked_add(step))
            .unwrap_or_else(|| now.saturating_add(period));
        self.due.push(Reverse((next, timer)));
        Some(Tick { timer, missed })
    }
}

/// The running timers of one dataflow. Dropped, they stop.
#[derive(Debug)]
pub struct Timers {
    periods: Vec<Duration>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stopped: Mutex<bool>,
    changed: Condvar,
    counts: Vec<Count>,
}

/// What became of a timer's ticks.
#[derive(Debug, Default)]
struct Count {
    sent: AtomicU64,
    missed: AtomicU64,
}

/// One timer: its period and its readers.
#[derive(Debug, Clone)]
pub struct Timer {
    /// Time between two ticks.
    pub period: Duration,
    /// Its readers.
    pub route: Arc<Route>,
}

impl Timers {
    /// Starts timers now.
    ///
    /// # Errors
    /// The system gives no thread, or no memory for a tick.
    pub fn start(timers: Vec<Timer>, clock: Arc<Clock>) -> std::io::Result<Self> {
        let counts = timers.iter().map(|_| Count::default()).collect();
        let periods = timers.iter().map(|timer| timer.period).collect();
        let shared = Arc::new(Shared {
            stopped: Mutex::new(false),
            changed: Condvar::new(),
            counts,
        });
        let thread = if timers.is_empty() {
            None
        } else {
            let null = Schema::leaf(c"n").map_err(std::io::Error::other)?;
            let shared = shared.clone();
            let run = move || run(&timers, &null, &clock, &shared);
            Some(
                std::thread::Builder::new()
                    .name("timers".into())
                    .spawn(run)?,
            )
        };
        Ok(Self {
            periods,
            shared,
            thread,
        })
    }

    /// What became of the ticks so far, in the order in which the timers were given.
    pub fn reports(&self) -> Vec<TimerReport> {
        let report = |(period, count): (&Duration, &Count)| TimerReport {
            period: *period,
            sent: count.sent.load(Ordering::Relaxed),
            missed: count.missed.load(Ordering::Relaxed),
        };
        let counts = &self.shared.counts;
        self.periods.iter().zip(counts).map(report).collect()
    }

    /// Stops the timers and waits for their thread, which never waits for long.
    pub fn stop(&mut self) {
        *self
            .shared
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed by its hook; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(timers: &[Timer], null: &Schema, clock: &Clock, shared: &Shared) {
    let mut schedule = Schedule::new(timers.iter().map(|timer| timer.period).collect());
    let began = Instant::now();
    let mut stopped = shared
        .stopped
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    while !*stopped {
        let now = began.elapsed();
        if let Some(tick) = schedule.pop(now) {
            drop(stopped);
            if let (Some(timer), Some(count)) =
                (timers.get(tick.timer), shared.counts.get(tick.timer))
            {
                count.missed.fetch_add(tick.missed, Ordering::Relaxed);
                // Without memory for a tick it is missed like a late one.
                match Message::empty(clock.now(), null) {
                    Ok(message) => {
                        count.sent.fetch_add(1, Ordering::Relaxed);
                        timer.route.send_unawaited(&message);
                    }
                    Err(_) => {
                        count.missed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            stopped = shared
                .stopped
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let Some(next) = schedule.next() else { return };
        let wait = next.saturating_sub(now);
        stopped = shared
            .changed
            .wait_timeout(stopped, wait)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(schedule: &mut Schedule, times: impl Iterator<Item = Duration>) -> (u64, u64) {
        let (mut sent, mut missed) = (0, 0);
        for now in times {
            while let Some(tick) = schedule.pop(now) {
                sent += 1;
                missed += tick.missed;
            }
        }
        (sent, missed)
    }

    #[test]
    fn ten_seconds_at_ten_milliseconds_are_exactly_a_thousand_ticks() {
        let mut schedule = Schedule::new(vec![Duration::from_millis(10)]);
        let every_third_of_a_millisecond =
            (0..=30_000).map(|i| Duration::from_secs(10) * i / 30_000);
        assert_eq!(
            ticks(&mut schedule, every_third_of_a_millisecond),
            (1_000, 0)
        );
    }

    #[test]
    fn late_ticks_are_counted_not_bunched() {
        let mut schedule = Schedule::new(vec![Duration::from_millis(10)]);
        let times = [10, 55, 60, 100].map(Duration::from_millis);
        assert_eq!(ticks(&mut schedule, times.into_iter()), (4, 6));
        assert_eq!(
            schedule.next(),
            Some(Duration::from_millis(110)),
            "no drift"
        );
    }

    #[test]
    fn timers_take_turns_by_time() {
        let mut schedule = Schedule::new(vec![Duration::from_millis(3), Duration::from_millis(2)]);
        let mut order = Vec::new();
        for now in 1..=6 {
            while let Some(tick) = schedule.pop(Duration::from_millis(now)) {
                order.push((now, tick.timer));
            }
        }
        assert_eq!(order, [(2, 1), (3, 0), (4, 1), (6, 0), (6, 1)]);
    }
}
