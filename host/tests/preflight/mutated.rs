//! Seeded mutations of whole plugins, and the corpus of the fuzzer: whatever the bytes are, reading ends, and soon.

use crate::good;
use crate::images::{MachO, Pe, elf};
use host::plugin::preflight::{Isolation, Machine, check, read};
use object::read::{File, Object, ObjectSection};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A xorshift generator: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Where the bytes are that the reader looks at: everything else cannot change what it does.
fn regions(bytes: &[u8]) -> Vec<Range<usize>> {
    // ELF: the section headers end the file; Mach-O and PE: symbols and names do.
    let (start, end) = (bytes.len().min(1024), bytes.len().saturating_sub(2048));
    let mut regions = [0..start, end..bytes.len()].to_vec();
    let Ok(file) = File::parse(bytes) else {
        return regions;
    };
    for section in file.sections() {
        let name = section.name().unwrap_or_default();
        let read = [
            ".dora",
            ".dyn",
            ".gnu.version",
            ".shstrtab",
            ".comment",
            ".rdata",
            "__dora",
        ];
        if let Some((start, size)) = section.file_range()
            && read.iter().any(|start| name.starts_with(start))
        {
            regions.push(start as usize..(start + size) as usize);
        }
    }
    regions
}

/// Changes up to four numbers; gives back what was there.
fn mutate(
    bytes: &mut [u8],
    regions: &[Range<usize>],
    random: &mut Random,
) -> Vec<(usize, [u8; 8])> {
    let mut undo = Vec::new();
    for _ in 0..=random.below(4) {
        let region = &regions[random.below(regions.len())];
        // Numbers are aligned in all formats.
        let offset = (region.start + random.below(region.len())) & !1;
        let Some(place) = bytes.get_mut(offset..offset + 8) else {
            continue;
        };
        let mut old = [0; 8];
        old.copy_from_slice(place);
        undo.push((offset, old));
        let special = [
            0,
            1,
            0xff,
            0x7fff_ffff,
            u64::MAX,
            u64::MAX - 7,
            1 << 31,
            1 << 32,
            4096,
        ];
        let value = match random.below(4) {
            0 => random.next(),
            1 => special[random.below(special.len())],
            2 => u64::from_le_bytes(old) ^ (1 << random.below(64)),
            _ => u64::from_le_bytes(old)
                .wrapping_add(random.below(64) as u64)
                .wrapping_sub(32),
        };
        let size = [1, 2, 4, 8][random.below(4)];
        place[..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    undo
}

/// Reads `count` mutations of `bytes`; gives how many were refused, and the longest time that one took.
fn torture(bytes: &[u8], count: usize, seed: u64) -> (usize, Duration) {
    let (machine, regions) = (Machine::this(), regions(bytes));
    let mut bytes = bytes.to_vec();
    let mut random = Random(seed);
    let (mut refused, mut longest) = (0, Duration::ZERO);
    for _ in 0..count {
        let undo = mutate(&mut bytes, &regions, &mut random);
        let started = Instant::now();
        let verdict = read(&bytes).and_then(|report| check(&report, &machine, Isolation::Shared));
        longest = longest.max(started.elapsed());
        if let Err(error) = verdict {
            refused += 1;
            // One line that fits on a terminal, whatever the file says of itself.
            let text = error.to_string();
            assert!(
                !text.contains(char::is_control) && text.len() < 4096,
                "{text:?}"
            );
        }
        for (offset, old) in undo.into_iter().rev() {
            bytes[offset..offset + 8].copy_from_slice(&old);
        }
    }
    (refused, longest)
}

#[test]
fn mutated_plugins_end_soon() {
    let (pe, mach_o) = (Pe::plugin().build(), MachO::plugin().build());
    let pe_by_symbol = Pe {
        section: false,
        wide: false,
        ..Pe::plugin()
    }
    .build();
    let mach_o_by_symbol = MachO {
        section: false,
        ..MachO::plugin()
    }
    .build();
    let (narrow, big) = (elf(false, false, 62), elf(true, true, 22));
    let images: [(&str, &[u8], usize); 7] = [
        ("of this system", good(), 20_000),
        ("PE", &pe, 4_000),
        ("PE by symbol", &pe_by_symbol, 4_000),
        ("Mach-O", &mach_o, 4_000),
        ("Mach-O by symbol", &mach_o_by_symbol, 4_000),
        ("ELF for 32 bits", &narrow, 4_000),
        ("ELF, big-endian", &big, 4_000),
    ];
    for (seed, (name, bytes, count)) in images.into_iter().enumerate() {
        let (refused, longest) = torture(bytes, count, 0x9e37_79b9_7f4a_7c15 + seed as u64);
        // Most of a table of names may be anything; but the mutations do reach what is read.
        assert!(refused > count / 10, "{name}: {refused} of {count} refused");
        // The slowest takes a few milliseconds on a busy machine; a hang takes for ever.
        assert!(longest < Duration::from_secs(5), "{name}: {longest:?}");
    }
}

#[test]
fn the_fuzzers_corpus() {
    let folder = host_testing::repo_root().join("host/fuzz/corpus/preflight");
    let entries =
        std::fs::read_dir(&folder).map(|entries| entries.filter_map(Result::ok).collect());
    let entries: Vec<_> = entries.unwrap_or_default();
    assert!(entries.len() >= 3, "{} has no seeds", folder.display());
    for entry in entries {
        let bytes = crate::file(&entry.path());
        let started = Instant::now();
        // Only that it ends matters: seeds of an older contract are refused.
        read(&bytes)
            .and_then(|report| check(&report, &Machine::this(), Isolation::Shared))
            .ok();
        let (_, longest) = torture(&bytes, 200, 7);
        assert!(
            started.elapsed() < Duration::from_secs(30) && longest < Duration::from_secs(5),
            "{entry:?}"
        );
    }
}
