//! Rows of the fault matrix: each test that injects a fault says which, where, and what it checks.
//!
//! Invariant: a row is told when its test is over, also when that failed, past the capture of what passed tests print, as
//! one line that begins with [`MARK`]; whoever runs the tests makes the table of them. Absent: the faults.

use std::fmt::{self, Display};
use std::io::Write;
use std::time::Instant;

/// What a row's line begins with.
const MARK: &str = "fault | ";

/// A row, until it is dropped: then it is told.
#[must_use = "a row that is dropped at once holds whatever its test does"]
pub struct Row {
    cells: [String; 3],
    began: Instant,
}

/// Begins a row: what is injected, where, and what is checked.
///
/// # Panics
/// When a cell would break the table.
pub fn fault(fault: impl Display, place: impl Display, checked: impl Display) -> Row {
    let cells = [fault.to_string(), place.to_string(), checked.to_string()];
    for cell in &cells {
        assert!(!cell.contains(['|', '\n']), "no cell: {cell:?}");
    }
    let began = Instant::now();
    Row { cells, began }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fault, place, checked] = &self.cells;
        let held = match std::thread::panicking() {
            true => "FAILED",
            false => "held",
        };
        let took = self.began.elapsed().as_secs_f32();
        write!(
            f,
            "{MARK}{fault} | {place} | {checked} | {held} ({took:.1} s)"
        )
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        // The line may have begun. Who cannot be told has closed the stream.
        let line = format!("\n{self}\n");
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_whether_its_test_has_held() {
        let row = fault("a flood", "in the daemon", "others go on");
        let said = row.to_string();
        assert!(
            said.starts_with("fault | a flood | in the daemon | others go on | held ("),
            "{said}"
        );
        std::mem::forget(row);
        let failed = std::thread::spawn(|| {
            struct Told;
            impl Drop for Told {
                fn drop(&mut self) {
                    let row = fault("a", "b", "c");
                    assert!(row.to_string().contains("| FAILED ("));
                    std::mem::forget(row);
                }
            }
            let _told = Told;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(failed.join().is_err());
    }

    #[test]
    #[should_panic(expected = "no cell")]
    fn a_cell_does_not_break_the_table() {
        let _row = fault("a | b", "c", "d");
    }
}
