//! Rows of the table, and the table.

use crate::figures::size;
use crate::rounds;
use crate::{IN_PLACE_FROM, Place, Way};

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

    fn side(&self) -> String {
        let Way::Nodes { from, to, in_place } = self.way else {
            return "bare socket".into();
        };
        let [from, to] = [from, to].map(|place| match place {
            Place::Daemon => "daemon",
            Place::Host => "host process",
            Place::Executable => "executable",
        });
        let filled = match (in_place, self.load.bytes >= IN_PLACE_FROM) {
            (true, _) => ", in place",
            (false, true) => ", by copy",
            (false, false) => "",
        };
        format!("{from} to {to}{filled}")
    }

    fn is_floor_of(&self, other: &Self) -> bool {
        self.way == Way::Bare && self.is_like(other)
    }
}

pub fn print(rows: &[Row]) {
    println!("| size | way | p10 us | p50 us | p99 us | messages/s | to the bare socket |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows.iter().filter(|row| !row.rounds.is_empty()) {
        let floor = rows.iter().find(|floor| floor.is_floor_of(row));
        println!(
            "| {} | {} | {} | {} |",
            size(row.load.bytes),
            row.side(),
            row.cells(),
            floor.map_or(String::new(), |floor| row.ratio(floor)),
        );
    }
}
