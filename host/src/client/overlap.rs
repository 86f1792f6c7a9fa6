//! Where a machine's log lines come twice: at the end of what was there and at the beginning of what is published.
//!
//! Invariant: a line that was handed over with the first is not handed over again with the second, and no other is left
//! out: two lines are the same when all is, down to the microsecond, and each stands for one. Until the first is there, the
//! second waits here, bounded; the oldest goes.

use crate::logs::Record;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};

/// Most lines that wait, and that are compared: more than a daemon may have published meanwhile.
const MOST: usize = 16_384;

#[derive(Debug)]
pub(super) enum Overlap {
    /// What was there is not known yet.
    Waiting { lines: VecDeque<Record>, lost: u64 },
    /// It is; how often each of its last lines is there.
    Known(HashMap<u64, u32>),
}

impl Overlap {
    pub fn new() -> Self {
        Self::Waiting {
            lines: VecDeque::new(),
            lost: 0,
        }
    }

    /// A line is published; it comes back when it is to be handed over now.
    pub fn published(&mut self, record: Record) -> Option<Record> {
        match self {
            Self::Waiting { lines, lost } => {
                lines.push_back(record);
                if lines.len() > MOST {
                    lines.pop_front();
                    *lost += 1;
                }
                None
            }
            Self::Known(counts) => is_new(counts, &record).then_some(record),
        }
    }

    /// What was there, the oldest first. Returns what waited and is new, and how many of those were lost.
    pub fn was_there(&mut self, history: &[Record]) -> (Vec<Record>, u64) {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for record in history.iter().rev().take(MOST) {
            *counts.entry(print(record)).or_default() += 1;
        }
        let (waited, lost) = match std::mem::replace(self, Self::new()) {
            Self::Waiting { lines, lost } => (lines, lost),
            Self::Known(_) => (VecDeque::new(), 0),
        };
        let new = waited.into_iter();
        let new = new.filter(|record| is_new(&mut counts, record)).collect();
        *self = Self::Known(counts);
        (new, lost)
    }
}

fn is_new(counts: &mut HashMap<u64, u32>, record: &Record) -> bool {
    if counts.is_empty() {
        return true;
    }
    let print = print(record);
    let Some(count) = counts.get_mut(&print) else {
        return true;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(&print);
    }
    false
}

fn print(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.to_json().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Level;
    use std::time::{Duration, UNIX_EPOCH};

    fn line(at: u64, text: &str) -> Record {
        Record {
            time: UNIX_EPOCH + Duration::from_micros(at),
            ..Record::new(Level::Info, "", text)
        }
    }

    #[test]
    fn no_line_comes_twice_and_none_is_missing() {
        let mut overlap = Overlap::new();
        // Twice the same is two lines; one of them was there.
        let same = || line(5, "same");
        for record in [line(3, "three"), same(), same(), line(6, "six")] {
            assert_eq!(overlap.published(record), None);
        }
        let history = [line(1, "one"), line(3, "three"), same(), line(7, "seven")];
        let (new, lost) = overlap.was_there(&history);
        assert_eq!((new, lost), (vec![same(), line(6, "six")], 0));
        assert_eq!(overlap.published(line(7, "seven")), None);
        assert_eq!(overlap.published(line(7, "seven")), Some(line(7, "seven")));
        assert_eq!(overlap.published(line(8, "eight")), Some(line(8, "eight")));
    }

    #[test]
    fn a_part_of_what_was_there_may_not_have_been_asked_for() {
        let mut overlap = Overlap::new();
        overlap.published(line(1, "one"));
        overlap.published(line(2, "two"));
        let (new, _) = overlap.was_there(&[line(2, "two")]);
        assert_eq!(new, [line(1, "one")]);
    }

    #[test]
    fn what_waits_is_bounded_and_losses_are_counted() {
        let mut overlap = Overlap::new();
        for at in 0..MOST as u64 + 5 {
            overlap.published(line(at, "x"));
        }
        let (new, lost) = overlap.was_there(&[]);
        assert_eq!((new.len(), lost), (MOST, 5));
    }
}
