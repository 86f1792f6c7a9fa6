//! Rows of the table, and the table.

use crate::Way;
use crate::figures::{size, thousands};
use crate::rounds;

/// One way of one load.
pub type Row = rounds::Row<Way>;

impl Row {
    pub fn name(&self) -> String {
        format!(
            "{}, {}, {}",
            self.load.what(),
            size(self.load.bytes),
            self.side()
        )
    }

    fn side(&self) -> &'static str {
        match self.way {
            Way::Daemons { waits: false } => "two daemons",
            Way::Daemons { waits: true } => "two daemons, backpressure",
            Way::Tcp { waits: false } => "zenoh, TCP",
            Way::Tcp { waits: true } => "zenoh, TCP, blocking",
            Way::Copied => "zenoh, shared memory by copy",
            Way::InPlace => "zenoh, shared memory in place",
        }
    }

    /// Whether this is ours for the same load as another row.
    fn is_ours_of(&self, other: &Self) -> bool {
        let waits = match other.way {
            Way::Tcp { waits } => waits,
            Way::Copied => other.load.is_flood(),
            Way::InPlace => false,
            Way::Daemons { .. } => return false,
        };
        self.way == Way::Daemons { waits } && self.is_like(other)
    }

    fn lost(&self) -> String {
        let sent = self.load.count * self.rounds.len() as u64;
        let received: u64 = self.rounds.iter().map(|round| round.received).sum();
        let lost = sent.saturating_sub(received);
        match lost {
            0 => "0".into(),
            lost => format!(
                "{} of {} ({:.0} %)",
                thousands(lost as f64),
                thousands(sent as f64),
                100.0 * lost as f64 / sent as f64
            ),
        }
    }
}

pub fn print(rows: &[Row]) {
    println!(
        "| what | size | way | p10 us | p50 us | p99 us | messages/s | lost | two daemons / this |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows.iter().filter(|row| !row.rounds.is_empty()) {
        let ours = rows.iter().find(|ours| ours.is_ours_of(row));
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            row.load.what(),
            size(row.load.bytes),
            row.side(),
            row.cells(),
            row.lost(),
            ours.map_or(String::new(), |ours| ours.ratio(row)),
        );
    }
}
