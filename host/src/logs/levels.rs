//! Which level each speaker may log at, in cells that plugins read before they make a line.
//!
//! The limit for files and console is that of `--log-filter` for the node, else the node's own (`min_log_level`),
//! else that of `--log-level`. A reader of the log that wants more raises the cells of those it reads, and nothing
//! else: files and console stay as they are. Invariant: after each change every cell is right. Pure but for the lock.

use super::filter::{Filter, Limit, Selection};
use super::record::Record;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use uuid::Uuid;

/// All limits.
#[derive(Debug)]
pub(super) struct Levels {
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    filter: Filter,
    /// By node; the empty name is this runtime and libraries.
    speakers: HashMap<Option<Uuid>, HashMap<String, Speaker>>,
    wishes: Vec<(u64, Selection)>,
    /// The dataflow that was forgotten last, if it was the only one, and its node, if that was.
    last: Option<(Uuid, Option<String>)>,
}

#[derive(Debug, Default)]
struct Speaker {
    own: Option<Limit>,
    cell: Arc<AtomicU32>,
}

/// Where a line is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// In files and on the console.
    pub(super) kept: bool,
    /// By a reader of the log.
    pub(super) read: bool,
}

impl Levels {
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            inner: RwLock::new(Inner {
                filter,
                speakers: HashMap::new(),
                wishes: Vec::new(),
                last: None,
            }),
        }
    }

    /// The cell of a speaker, made when it is first asked for.
    pub(super) fn cell(&self, dataflow: Option<Uuid>, node: Option<&str>) -> Arc<AtomicU32> {
        self.write(|inner| inner.speaker(dataflow, node).cell.clone())
    }

    /// The node's own limit.
    pub(super) fn set_own(&self, dataflow: Uuid, node: &str, limit: Limit) {
        self.write(|inner| inner.speaker(Some(dataflow), Some(node)).own = Some(limit));
    }

    pub(super) fn set_filter(&self, filter: Filter) {
        self.write(|inner| inner.filter = filter);
    }

    pub(super) fn add_wish(&self, id: u64, selection: Selection) {
        self.write(|inner| inner.wishes.push((id, selection)));
    }

    pub(super) fn remove_wish(&self, id: u64) {
        self.write(|inner| inner.wishes.retain(|(known, _)| *known != id));
    }

    /// Forgets a dataflow. Its cells stay with those who have them and change no more.
    pub(super) fn remove(&self, dataflow: Uuid) {
        self.write(|inner| {
            if let Some(only) = inner.only_speaker() {
                inner.last = Some(only);
            }
            inner.speakers.remove(&Some(dataflow));
        });
    }

    /// Who speaks when nothing says who does: the only dataflow there is, or was before all were forgotten, and its only
    /// node if it has one.
    pub(super) fn only_speaker(&self) -> Option<(Uuid, Option<String>)> {
        let inner = self.read();
        match inner.speakers.keys().any(Option::is_some) {
            true => inner.only_speaker(),
            false => inner.last.clone(),
        }
    }

    pub(super) fn verdict(&self, record: &Record) -> Verdict {
        let inner = self.read();
        let limit = inner.kept_limit(record.dataflow, record.node.as_deref());
        let kept = limit.admits(record);
        let mut wishes = inner.wishes.iter();
        Verdict {
            kept,
            read: wishes.any(|(_, wish)| wish.admits(record, kept)),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, then sets the cells.
    fn write<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner: RwLockWriteGuard<'_, Inner> =
            self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut inner);
        inner.set_cells();
        result
    }
}

impl Inner {
    fn speaker(&mut self, dataflow: Option<Uuid>, node: Option<&str>) -> &mut Speaker {
        self.speakers
            .entry(dataflow)
            .or_default()
            .entry(node.unwrap_or_default().to_owned())
            .or_default()
    }

    fn only_speaker(&self) -> Option<(Uuid, Option<String>)> {
        let speakers = self.speakers.iter();
        let mut dataflows = speakers.filter_map(|(id, nodes)| Some(((*id)?, nodes)));
        let (id, nodes) = dataflows.next()?;
        if dataflows.next().is_some() {
            return None;
        }
        let mut names = nodes.keys().filter(|name| !name.is_empty());
        let first = names.next().filter(|_| names.next().is_none());
        Some((id, first.cloned()))
    }

    fn kept_limit(&self, dataflow: Option<Uuid>, node: Option<&str>) -> Limit {
        let own = || {
            let nodes = self.speakers.get(&dataflow)?;
            nodes.get(node.unwrap_or_default())?.own
        };
        node.and_then(|node| self.filter.named(node))
            .or_else(own)
            .unwrap_or(self.filter.default_limit())
    }

    fn set_cells(&self) {
        for (dataflow, nodes) in &self.speakers {
            for (name, speaker) in nodes {
                let node = (!name.is_empty()).then_some(name.as_str());
                let wishes = self.wishes.iter().map(|(_, wish)| wish);
                let limit = wishes
                    .filter(|wish| wish.concerns(*dataflow, node))
                    .filter_map(|wish| wish.limit)
                    .fold(self.kept_limit(*dataflow, node), Limit::max);
                speaker.cell.store(limit.number(), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::Level;
    use super::super::record::Origin;
    use super::*;

    const FLOW: Uuid = Uuid::from_u128(7);

    fn filter(default: &str, nodes: &str) -> Filter {
        Filter::new(default.parse().unwrap())
            .with_nodes(nodes)
            .unwrap()
    }

    fn wish(limit: &str, node: Option<&str>) -> Selection {
        Selection {
            limit: Some(limit.parse().unwrap()),
            dataflow: Some(FLOW),
            node: node.map(str::to_owned),
            ..Selection::default()
        }
    }

    #[test]
    fn cells_follow_filters_own_limits_and_readers() {
        let levels = Levels::new(filter("info", "a=warn"));
        let cells = [
            levels.cell(Some(FLOW), Some("a")),
            levels.cell(Some(FLOW), Some("b")),
            levels.cell(Some(Uuid::from_u128(8)), Some("b")),
            levels.cell(None, None),
        ];
        let found = || cells.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        assert_eq!(found(), [2, 3, 3, 3]);
        levels.set_own(FLOW, "a", Limit::OFF);
        levels.set_own(FLOW, "b", Limit::OFF);
        assert_eq!(found(), [2, 0, 3, 3], "the filter's word counts more");
        levels.add_wish(1, wish("trace", Some("b")));
        levels.add_wish(2, wish("debug", None));
        assert_eq!(found(), [4, 5, 3, 3]);
        levels.remove_wish(1);
        assert_eq!(found(), [4, 4, 3, 3]);
        levels.remove_wish(2);
        levels.add_wish(3, Selection::default());
        assert_eq!(
            found(),
            [2, 0, 3, 3],
            "a reader without a wish changes nothing"
        );
        levels.set_filter(filter("off", "b=error"));
        assert_eq!(found(), [0, 1, 1, 0]);
        levels.remove(FLOW);
        levels.set_filter(filter("trace", ""));
        assert_eq!(found(), [0, 1, 5, 5], "forgotten");
    }

    #[test]
    fn verdicts_keep_files_and_readers_apart() {
        let levels = Levels::new(filter("info", ""));
        let said = |level| {
            Record::new(level, "", "").by(Origin {
                dataflow: Some(FLOW),
                node: Some("a".to_owned()),
                ..Origin::default()
            })
        };
        let verdict = |level| {
            let found = levels.verdict(&said(level));
            (found.kept, found.read)
        };
        assert_eq!(verdict(Level::Info), (true, false));
        assert_eq!(verdict(Level::Debug), (false, false));
        levels.add_wish(1, wish("debug", None));
        assert_eq!(verdict(Level::Info), (true, true));
        assert_eq!(verdict(Level::Debug), (false, true));
        assert_eq!(verdict(Level::Trace), (false, false));
    }
}
